"""Queries about storage entries: directories with a name of their own."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from paas.errors import Conflict
from paas.state.database import Database, Row, now


@dataclass(frozen=True, slots=True)
class Entry:
    """`owner`: the user id that the directory was made the property of; None: nobody's in particular."""

    name: str
    path: Path
    owner: int | None
    created: str


def _entry(row: Row) -> Entry:
    return Entry(row["name"], Path(row["path"]), row["owner"], row["created"])


def insert(db: Database, name: str, path: Path, owner: int | None) -> None:
    try:
        db.execute(
            "INSERT INTO storage_entries (name, path, owner, created) VALUES (?, ?, ?, ?)",
            (name, str(path), owner, now()),
        )
    except sqlite3.IntegrityError:
        raise Conflict(f"There is a storage entry {name} already", hint=f"storage:info {name}") from None


def find(db: Database, name: str) -> Entry | None:
    row = db.one("SELECT * FROM storage_entries WHERE name = ?", (name,))
    return _entry(row) if row else None


def listing(db: Database) -> list[Entry]:
    return [_entry(row) for row in db.query("SELECT * FROM storage_entries ORDER BY name")]


def set_owner(db: Database, name: str, owner: int | None) -> None:
    db.execute("UPDATE storage_entries SET owner = ? WHERE name = ?", (owner, name))


def delete(db: Database, name: str) -> None:
    db.execute("DELETE FROM storage_entries WHERE name = ?", (name,))


def mounted(db: Database, path: Path, name: str = "") -> list[tuple[str, str]]:
    """(app, target) of whatever mounts a directory, or an entry."""
    rows = db.query(
        "SELECT apps.name AS app, target FROM mounts JOIN apps ON apps.id = mounts.app"
        " WHERE source = ? OR (entry <> '' AND entry = ?) ORDER BY apps.name, target",
        (str(path), name),
    )
    return [(row["app"], row["target"]) for row in rows]
