"""Queries about one-off commands of apps that run behind their callers' backs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.state.database import Database, Row


@dataclass(frozen=True, slots=True)
class OneOffRow:
    """One that runs, or that a former engine left running."""

    id: str
    """The container's."""
    app: int
    name: str
    """run.4711"""
    command: tuple[str, ...]
    address: IPv4Address
    who: str
    started: str
    expires: str


def insert(db: Database, row: OneOffRow) -> None:
    db.execute(
        "INSERT INTO oneoffs (id, app, name, command, address, who, started, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.id,
            row.app,
            row.name,
            db.vault.seal(json.dumps(row.command)),
            str(row.address),
            row.who,
            row.started,
            row.expires,
        ),
    )


def listing(db: Database, app: int | None = None) -> list[OneOffRow]:
    """Of one app, or of all; the oldest first."""
    return [
        _row(db, row)
        for row in db.query("SELECT * FROM oneoffs WHERE ? IS NULL OR app = ? ORDER BY started, id", (app, app))
    ]


def exists(db: Database, id: str) -> bool:
    return db.one("SELECT 1 FROM oneoffs WHERE id = ?", (id,)) is not None


def delete(db: Database, id: str) -> None:
    db.execute("DELETE FROM oneoffs WHERE id = ?", (id,))


def _row(db: Database, row: Row) -> OneOffRow:
    return OneOffRow(
        row["id"],
        row["app"],
        row["name"],
        tuple(json.loads(db.vault.open(row["command"]))),
        IPv4Address(row["address"]),
        row["who"],
        row["started"],
        row["expires"],
    )
