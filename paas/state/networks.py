"""Queries about networks: names under which apps may reach each other."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from paas.errors import Conflict
from paas.state.apps import GLOBAL, App, by_id, listing
from paas.state.database import Database, now

ATTACHMENTS = ("network:initial-network", "network:attach-post-create", "network:attach-post-deploy")
"""The properties that name networks."""


@dataclass(frozen=True, slots=True)
class NamedNetwork:
    name: str
    created: str


def insert(db: Database, name: str) -> None:
    try:
        db.execute("INSERT INTO networks (name, created) VALUES (?, ?)", (name, now()))
    except sqlite3.IntegrityError:
        raise Conflict(f"There is a network {name} already", hint=f"network:info {name}") from None


def every(db: Database) -> list[NamedNetwork]:
    return [NamedNetwork(row["name"], row["created"]) for row in db.query("SELECT * FROM networks ORDER BY name")]


def delete(db: Database, name: str) -> None:
    db.execute("DELETE FROM networks WHERE name = ?", (name,))


def attached(db: Database) -> list[App]:
    """Apps that are on any network, perhaps: all, where a network is set for all."""
    marks = ", ".join("?" for _ in ATTACHMENTS)
    rows = db.query(f"SELECT DISTINCT app FROM properties WHERE key IN ({marks}) ORDER BY app", ATTACHMENTS)
    if rows and rows[0]["app"] == GLOBAL:
        return listing(db)
    return [by_id(db, row["app"]) for row in rows]
