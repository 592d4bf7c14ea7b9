"""The event log: who did what, from where, and how it went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from paas.model import Who
from paas.state.database import Database, now

KEPT = 100_000
"""Events; the oldest go first."""
_PRUNE_EVERY = 256
_DETAIL_LIMIT = 500

Outcome = Literal["", "failed", "denied"]
"""Empty for what succeeded."""


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    at: str
    who: str
    address: str
    app: str
    action: str
    detail: str
    outcome: Outcome


@dataclass(slots=True)
class Running:
    """A command while it runs: what is recorded below it goes by its name."""

    command: str
    recorded: int = 0


_running: ContextVar[Running | None] = ContextVar("running", default=None)


@contextmanager
def running(command: str) -> Iterator[Running]:
    """What this thread records inside is the doing of `command`."""
    token = _running.set(Running(command))
    try:
        found = _running.get()
        assert found is not None
        yield found
    finally:
        _running.reset(token)


def record(db: Database, who: Who, app: str, action: str, detail: str = "", outcome: Outcome = "") -> None:
    """Append to the event log. `detail` must hold no secret: names of config vars, never their values.

    The action is the command that the thread carries out, where it does: `action` is for what comes otherwise.
    """
    command = _running.get()
    if command is not None:
        command.recorded += 1
        action = command.command
    with db.transaction() as connection:
        last = connection.execute(
            "INSERT INTO events (at, who, address, app, action, detail, outcome) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (now(), who.name, who.address, _plain(app), action, _plain(detail)[:_DETAIL_LIMIT], outcome),
        ).lastrowid
        if last and last % _PRUNE_EVERY == 0:
            connection.execute("DELETE FROM events WHERE id <= ?", (last - KEPT,))


def _plain(text: str) -> str:
    """What users type may be anything, and is shown on others' terminals."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: 2 * _DETAIL_LIMIT])


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Which events are asked for: of an app, by a user, since a time as the database keeps them.

    With `visible` only those of these apps, and those of no app that `me` caused.
    """

    app: str | None = None
    who: str | None = None
    since: str | None = None
    visible: Sequence[str] | None = None
    me: str = ""


def events(db: Database, limit: int, narrowed: Narrowed, *, after: int = 0) -> list[Event]:
    """The last `limit` events with an id above `after`, oldest first."""
    conditions, values = ["id > ?"], [str(after)]
    for column, comparison, value in (
        ("app", "=", narrowed.app),
        ("who", "=", narrowed.who),
        ("at", ">=", narrowed.since),
    ):
        if value is not None:
            conditions.append(f"{column} {comparison} ?")
            values.append(value)
    if narrowed.visible is not None:
        marks = ", ".join("?" * len(narrowed.visible))
        conditions.append(f"(app IN ({marks}) OR (app = '' AND who = ?))")
        values += [*narrowed.visible, narrowed.me]
    rows = db.query(
        "SELECT id, at, who, address, app, action, detail, outcome FROM events"
        f" WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?",
        (*values, limit),
    )
    return [Event(*row) for row in reversed(rows)]


def newest(db: Database) -> int:
    row = db.one("SELECT coalesce(max(id), 0) AS id FROM events")
    return int(row["id"]) if row else 0


def actions(db: Database) -> list[tuple[str, int]]:
    """What has been recorded, and how often."""
    rows = db.query("SELECT action, count(*) AS count FROM events GROUP BY action ORDER BY action")
    return [(row["action"], row["count"]) for row in rows]
