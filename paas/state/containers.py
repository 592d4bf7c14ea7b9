"""Queries about containers that belong to no app. The JSON in `options` is what paas.containers.model writes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from paas.errors import Conflict
from paas.model import PortMap
from paas.state.database import Database, Row, now


class State(StrEnum):
    STARTING = "starting"
    """Being made or started; left so by an engine that died, it is cleaned up."""
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    """Ended by itself; waits for its restart."""
    EXITED = "exited"
    REMOVING = "removing"


ALIVE = (State.STARTING, State.RUNNING, State.PAUSED)
HOLDING = (*ALIVE, State.RESTARTING)
"""States in which a container's ports are nobody else's."""


@dataclass(frozen=True, slots=True)
class ContainerRow:
    """Times are as the database keeps them, '' for never. `exit_code` as a shell would give it."""

    id: str
    name: str
    image: str
    reference: str
    options: str
    ports: tuple[PortMap, ...]
    created: str
    state: State
    address: IPv4Address | None
    started: str
    finished: str
    exit_code: int | None
    oom: bool
    restarts: int
    stopped: bool
    health: str
    error: str

    @property
    def short_id(self) -> str:
        return self.id[:12]


def insert(
    db: Database, id: str, name: str, image: str, reference: str, options: str, ports: Sequence[PortMap]
) -> ContainerRow:
    """Record a container that is about to be made. Raises Conflict, naming the one that has the name."""
    try:
        db.execute(
            "INSERT INTO containers (id, name, image, reference, options, ports, created, state)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                id,
                name,
                image,
                reference,
                db.vault.seal(options),
                json.dumps([[port.scheme, port.host, port.container, port.address] for port in ports]),
                now(),
                State.STARTING,
            ),
        )
    except sqlite3.IntegrityError:
        other = by_name(db, name)
        if other is None:
            raise
        raise Conflict(
            f"The name {name} is taken by container {other.short_id}",
            hint=f"Remove or rename it first (rm {name}, rename {name} NEW-NAME), or choose another name.",
        ) from None
    found = get(db, id)
    assert found is not None
    return found


def get(db: Database, id: str) -> ContainerRow | None:
    row = db.one("SELECT * FROM containers WHERE id = ?", (id,))
    return _container(db, row) if row else None


def by_name(db: Database, name: str) -> ContainerRow | None:
    row = db.one("SELECT * FROM containers WHERE name = ?", (name,))
    return _container(db, row) if row else None


def listing(db: Database) -> list[ContainerRow]:
    """The newest first."""
    return [_container(db, row) for row in db.query("SELECT * FROM containers ORDER BY created DESC, id")]


def set_name(db: Database, id: str, name: str) -> None:
    """Raises Conflict."""
    try:
        db.execute("UPDATE containers SET name = ? WHERE id = ?", (name, id))
    except sqlite3.IntegrityError:
        raise Conflict(f"The name {name} is taken", hint="ps -a shows all containers.") from None


def set_state(db: Database, id: str, state: State) -> None:
    db.execute("UPDATE containers SET state = ? WHERE id = ?", (state, id))


def set_starting(db: Database, id: str, address: IPv4Address) -> None:
    db.execute(
        "UPDATE containers SET state = ?, address = ?, stopped = 0, error = '' WHERE id = ?",
        (State.STARTING, str(address), id),
    )


def set_running(db: Database, id: str, health: str) -> None:
    db.execute(
        "UPDATE containers SET state = ?, started = ?, exit_code = NULL, oom = 0, health = ? WHERE id = ?",
        (State.RUNNING, now(), health, id),
    )


def set_ended(
    db: Database, id: str, state: State, exit_code: int | None, *, oom: bool, restarts: int, error: str = ""
) -> None:
    db.execute(
        "UPDATE containers SET state = ?, address = NULL, finished = ?, exit_code = ?, oom = ?, restarts = ?,"
        " health = '', error = ? WHERE id = ?",
        (state, now(), exit_code, int(oom), restarts, error, id),
    )


def set_restarts(db: Database, id: str, restarts: int) -> None:
    db.execute("UPDATE containers SET restarts = ? WHERE id = ?", (restarts, id))


def set_stopped(db: Database, id: str) -> None:
    """Note that somebody, and not itself, ends it."""
    db.execute("UPDATE containers SET stopped = 1 WHERE id = ?", (id,))


def set_health(db: Database, id: str, health: str) -> None:
    db.execute("UPDATE containers SET health = ? WHERE id = ? AND state IN ('running', 'paused')", (health, id))


def delete(db: Database, id: str) -> None:
    db.execute("DELETE FROM containers WHERE id = ?", (id,))


def port_holders(db: Database, host: int, *, but: str = "") -> list[ContainerRow]:
    """The containers that a host port leads to now, or will after their restart, on any address and for any protocol;
    not the one with the id `but`."""
    return [
        row
        for row in listing(db)
        if row.id != but and row.state in HOLDING and any(port.host == host for port in row.ports)
    ]


def _container(db: Database, row: Row) -> ContainerRow:
    return ContainerRow(
        id=row["id"],
        name=row["name"],
        image=row["image"],
        reference=row["reference"],
        options=db.vault.open(row["options"]),
        ports=tuple(PortMap(*entry) for entry in json.loads(row["ports"])),
        created=row["created"],
        state=State(row["state"]),
        address=IPv4Address(row["address"]) if row["address"] else None,
        started=row["started"],
        finished=row["finished"],
        exit_code=row["exit_code"],
        oom=bool(row["oom"]),
        restarts=row["restarts"],
        stopped=bool(row["stopped"]),
        health=row["health"],
        error=row["error"],
    )
