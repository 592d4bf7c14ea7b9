"""Queries about instances that are gone and whose logs are kept."""

from __future__ import annotations

from dataclasses import dataclass

from paas.state.database import Database


@dataclass(frozen=True, slots=True)
class PastInstance:
    id: str
    app: int
    release: int
    name: str
    """web.1, or run.4711"""
    started: str
    ended: str
    failed: bool
    """It never became healthy."""
    size: int
    """Bytes of its log."""


def insert(db: Database, past: PastInstance) -> bool:
    """False when its app is gone meanwhile."""
    sql = (
        "INSERT OR REPLACE INTO past_instances (id, app, release, name, started, ended, failed, size)"
        " SELECT ?, id, ?, ?, ?, ?, ?, ? FROM apps WHERE id = ?"
    )
    values = (past.id, past.release, past.name, past.started, past.ended, int(past.failed), past.size, past.app)
    return db.execute(sql, values) > 0


def listing(db: Database, app: int | None = None) -> list[PastInstance]:
    """Of one app, or of all; the latest first."""
    where, values = ("", ()) if app is None else ("WHERE app = ?", (app,))
    rows = db.query(f"SELECT * FROM past_instances {where} ORDER BY ended DESC, id", values)
    return [
        PastInstance(
            row["id"],
            row["app"],
            row["release"],
            row["name"],
            row["started"],
            row["ended"],
            bool(row["failed"]),
            row["size"],
        )
        for row in rows
    ]


def delete(db: Database, id: str) -> None:
    db.execute("DELETE FROM past_instances WHERE id = ?", (id,))
