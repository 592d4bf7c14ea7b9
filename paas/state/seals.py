"""Queries about seals: what the directories of layers were when they were made, as paas.image.seal digests them."""

from __future__ import annotations

from dataclasses import dataclass

from paas.state.database import Database


@dataclass(frozen=True, slots=True)
class Seal:
    shape: str
    content: str
    """'' until somebody had the time to read all files."""
    damage: str = ""
    """What was wrong when they were read the last time."""


def seal(db: Database, layer: int) -> Seal | None:
    """None for a layer of a version that made no seals."""
    row = db.one("SELECT shape, content, damage FROM seals WHERE layer = ?", (layer,))
    return Seal(row["shape"], row["content"], row["damage"]) if row else None


def set_shape(db: Database, layer: int, shape: str) -> None:
    """Of a directory that is new: what its content is is not known yet."""
    db.execute("INSERT OR REPLACE INTO seals (layer, shape, content) VALUES (?, ?, '')", (layer, shape))


def set_content(db: Database, layer: int, shape: str, content: str) -> None:
    """Unless the directory has been replaced meanwhile."""
    with db.transaction(durable=False) as connection:
        connection.execute(
            "INSERT OR IGNORE INTO seals (layer, shape) SELECT number, ? FROM layers WHERE number = ?", (shape, layer)
        )
        connection.execute(
            "UPDATE seals SET content = ? WHERE layer = ? AND shape = ? AND content = ''", (content, layer, shape)
        )


def set_damage(db: Database, layer: int, damage: str) -> None:
    db.execute("UPDATE seals SET damage = ? WHERE layer = ? AND damage <> ?", (damage, layer, damage))


def lacking(db: Database) -> list[int]:
    """Numbers of settled layers whose content has not been sealed, the newest first."""
    rows = db.query(
        "SELECT number FROM layers LEFT JOIN seals ON seals.layer = number"
        " WHERE settled AND coalesce(content, '') = '' ORDER BY number DESC"
    )
    return [row["number"] for row in rows]
