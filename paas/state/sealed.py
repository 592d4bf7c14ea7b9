"""Which columns hold secrets, and how all values of one are rewritten. A new one is encrypted at the next start."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    table: str
    name: str
    key: tuple[str, ...]
    """The columns that name a row."""

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"

    def rewrite(self, connection: sqlite3.Connection, change: Callable[[str], str]) -> None:
        """Replace every value by what `change` makes of it."""
        rows = connection.execute(f"SELECT {self.name}, {', '.join(self.key)} FROM {self.table}").fetchall()
        where = " AND ".join(f"{column} = ?" for column in self.key)
        connection.executemany(
            f"UPDATE {self.table} SET {self.name} = ? WHERE {where}", [(change(row[0]), *row[1:]) for row in rows]
        )


SEALED = (
    Column("config", "value", ("app", "key")),
    Column("releases", "config", ("app", "number")),
    Column("containers", "options", ("id",)),
)
