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
    rows: str = ""
    """Only rows whose column `key` begins with this."""

    def __str__(self) -> str:
        return f"{self.table}.{self.name}" + (f":{self.rows}" if self.rows else "")

    @property
    def _from(self) -> str:
        return f"FROM {self.table}" + (" WHERE substr(key, 1, length(?1)) = ?1" if self.rows else "")

    @property
    def _of(self) -> tuple[str, ...]:
        return (self.rows,) if self.rows else ()

    def query(self) -> tuple[str, tuple[str, ...]]:
        """SQL, and its arguments, that give each value as `value`."""
        return f"SELECT {self.name} AS value {self._from}", self._of

    def rewrite(self, connection: sqlite3.Connection, change: Callable[[str], str]) -> None:
        """Replace every value by what `change` makes of it."""
        rows = connection.execute(f"SELECT {self.name}, {', '.join(self.key)} {self._from}", self._of).fetchall()
        where = " AND ".join(f"{column} = ?" for column in self.key)
        connection.executemany(
            f"UPDATE {self.table} SET {self.name} = ? WHERE {where}", [(change(row[0]), *row[1:]) for row in rows]
        )


_SECRET_PROPERTIES = ("docker-options:", "builder:http-proxy", "builder:https-proxy")
"""Flags may set variables and build arguments, and a proxy's address may have a password in it."""

SEALED = (
    Column("config", "value", ("app", "key")),
    Column("releases", "config", ("app", "number")),
    Column("releases", "settings", ("app", "number")),
    Column("containers", "options", ("id",)),
    Column("oneoffs", "command", ("id",)),
    *(Column("properties", "value", ("app", "key"), start) for start in _SECRET_PROPERTIES),
)


def secret_property(key: str) -> bool:
    return key.startswith(_SECRET_PROPERTIES)
