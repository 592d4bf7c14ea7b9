"""Queries about builds: one row for each, finished or not."""

from __future__ import annotations

from dataclasses import dataclass

from paas.state.database import Database, Row, now

RUNNING = ("waiting", "building", "deploying")


@dataclass(frozen=True, slots=True)
class BuildRow:
    """`app` is None for `paas build`; `status` one of RUNNING, succeeded, failed, cancelled."""

    id: int
    app: int | None
    name: str
    who: str
    source: str
    started: str
    ended: str
    status: str
    steps: int
    cached: int
    image: str
    error: str


def _build(row: Row) -> BuildRow:
    return BuildRow(*(row[name] for name in BuildRow.__slots__))


def insert(db: Database, app: int | None, name: str, who: str, source: str) -> int:
    with db.transaction(durable=False) as connection:
        cursor = connection.execute(
            "INSERT INTO builds (app, name, who, source, started, status) VALUES (?, ?, ?, ?, ?, 'waiting')",
            (app, name, who, source, now()),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid


def set_status(db: Database, id: int, status: str) -> None:
    with db.transaction(durable=False) as connection:
        connection.execute("UPDATE builds SET status = ? WHERE id = ?", (status, id))


def set_image(db: Database, id: int, image: str, steps: int, cached: int) -> None:
    with db.transaction(durable=False) as connection:
        connection.execute(
            "UPDATE builds SET image = ?, steps = ?, cached = ? WHERE id = ?", (image, steps, cached, id)
        )


def end(db: Database, id: int, status: str, error: str) -> None:
    with db.transaction(durable=False) as connection:
        connection.execute(
            "UPDATE builds SET status = ?, error = ?, ended = ? WHERE id = ?", (status, error, now(), id)
        )


def get(db: Database, id: int) -> BuildRow | None:
    row = db.one("SELECT * FROM builds WHERE id = ?", (id,))
    return _build(row) if row else None


def listing(db: Database, app: int | None = None) -> list[BuildRow]:
    """Of one app or all, the newest first."""
    condition = "" if app is None else " WHERE app = ?"
    rows = db.query(f"SELECT * FROM builds{condition} ORDER BY id DESC", () if app is None else (app,))
    return [_build(row) for row in rows]


def interrupted(db: Database) -> list[BuildRow]:
    """Those that a former engine did not end."""
    marks = ",".join("?" * len(RUNNING))
    return [_build(row) for row in db.query(f"SELECT * FROM builds WHERE status IN ({marks})", RUNNING)]


def beyond(db: Database, app: int | None, keep: int) -> list[int]:
    """Ids of finished builds of an app but for the newest `keep`."""
    rows = db.query("SELECT id FROM builds WHERE app IS ? AND ended != '' ORDER BY id DESC", (app,))
    return [row["id"] for row in rows[keep:]]


def delete(db: Database, id: int) -> None:
    with db.transaction(durable=False) as connection:
        connection.execute("DELETE FROM builds WHERE id = ?", (id,))
