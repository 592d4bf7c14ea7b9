"""The database: its pages, its references, and the secrets in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from paas.errors import SystemFailure
from paas.integrity.finding import Asked, Finding
from paas.state.database import Database
from paas.state.sealed import SEALED

_MOST = 5
"""Problems of one kind that are shown."""
_BACK = "Put a copy back: paas system:backups lists them; stop the engine; paas system:restore NUMBER"


def check(db: Database, asked: Asked) -> Iterator[Finding]:
    found = list(damage_of(db.path))
    if found and asked.repair:
        with contextlib.suppress(SystemFailure), db.transaction() as connection:
            connection.execute("REINDEX")  # indexes follow from their tables
        left = list(damage_of(db.path))
        found = left or [Finding(f.kind, f.name, f.problem, repaired="its indexes were made anew") for f in found]
    yield from found
    yield from _secrets(db)


def damage_of(path: Path) -> Iterator[Finding]:
    """What SQLite finds wrong with a database file; through a connection of its own, so that nobody waits."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=10)) as connection:
            problems = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({_MOST})")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST)
    except sqlite3.DatabaseError as error:
        problems, broken = [str(error)], []
    for problem in problems if problems != ["ok"] else ():
        yield Finding("database", path.name, problem.replace("\n", " "), _BACK)
    for table, _, parent, _ in broken:
        yield Finding("database", path.name, f"a row of {table} refers to one of {parent} that is missing", _BACK)


def _secrets(db: Database) -> Iterator[Finding]:
    for column in SEALED:
        broken = 0
        sql, arguments = column.query()
        for row in db.query(sql, arguments):
            try:
                db.vault.open(row["value"])
            except SystemFailure:
                broken += 1
        if broken:
            yield Finding(
                "key",
                db.vault.path.name,
                f"{broken} values of {column} were encrypted with another key, or are damaged",
                f"Put back {db.vault.path} as it was when this database was in use, or set the values again.",
            )
