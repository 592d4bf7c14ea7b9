"""Queries about layers, images, tags and the build cache. JSON columns hold what paas.image.config writes."""

from __future__ import annotations

from dataclasses import dataclass

from paas.model import Layer
from paas.state.database import Database, Row, now


@dataclass(frozen=True, slots=True)
class ImageRow:
    id: str
    config: str
    history: str
    architecture: str
    created: str
    layers: tuple[Layer, ...]


def _layer(row: Row) -> Layer:
    return Layer(row["number"], row["id"], row["size"])


def layer_by_id(db: Database, id: str) -> Layer | None:
    row = db.one("SELECT * FROM layers WHERE id = ?", (id,))
    return _layer(row) if row else None


def layers(db: Database) -> list[Layer]:
    return [_layer(row) for row in db.query("SELECT * FROM layers ORDER BY number")]


def insert_layer(db: Database, id: str, size: int, diff_id: str | None) -> Layer:
    with db.transaction() as connection:
        cursor = connection.execute(
            "INSERT INTO layers (id, size, diff_id, created) VALUES (?, ?, ?, ?)", (id, size, diff_id, now())
        )
        assert cursor.lastrowid is not None
        return Layer(cursor.lastrowid, id, size)


def delete_layer(db: Database, number: int) -> None:
    db.execute("DELETE FROM layers WHERE number = ?", (number,))


def unused_layers(db: Database) -> list[Layer]:
    """Layers of no image and no cache entry."""
    rows = db.query(
        "SELECT * FROM layers WHERE number NOT IN (SELECT layer FROM image_layers)"
        " AND number NOT IN (SELECT layer FROM build_cache WHERE layer IS NOT NULL)"
    )
    return [_layer(row) for row in rows]


def insert_image(db: Database, row: ImageRow) -> None:
    """Nothing happens when the image is there already."""
    with db.transaction() as connection:
        cursor = connection.execute(
            "INSERT OR IGNORE INTO images (id, config, history, architecture, created) VALUES (?, ?, ?, ?, ?)",
            (row.id, row.config, row.history, row.architecture, row.created),
        )
        if cursor.rowcount:
            connection.executemany(
                "INSERT INTO image_layers (image, position, layer) VALUES (?, ?, ?)",
                [(row.id, position, layer.number) for position, layer in enumerate(row.layers)],
            )


def image(db: Database, id: str) -> ImageRow | None:
    row = db.one("SELECT * FROM images WHERE id = ?", (id,))
    return _image(db, row) if row else None


def images(db: Database) -> list[ImageRow]:
    """Newest first."""
    return [_image(db, row) for row in db.query("SELECT * FROM images ORDER BY created DESC, id")]


def by_prefix(db: Database, hex_prefix: str) -> list[str]:
    rows = db.query("SELECT id FROM images WHERE id LIKE ? LIMIT 3", (f"sha256:{hex_prefix}%",))
    return [row["id"] for row in rows]


def unused_images(db: Database) -> list[str]:
    """Images without a tag that no release uses."""
    rows = db.query(
        "SELECT id FROM images WHERE id NOT IN (SELECT image FROM tags) AND id NOT IN (SELECT image FROM releases)"
    )
    return [row["id"] for row in rows]


def delete_image(db: Database, id: str) -> None:
    db.execute("DELETE FROM images WHERE id = ?", (id,))


def _image(db: Database, row: Row) -> ImageRow:
    layers = db.query(
        "SELECT layers.* FROM image_layers JOIN layers ON layers.number = image_layers.layer WHERE image = ?"
        " ORDER BY position",
        (row["id"],),
    )
    return ImageRow(
        row["id"], row["config"], row["history"], row["architecture"], row["created"], tuple(map(_layer, layers))
    )


def set_tag(db: Database, reference: str, image: str) -> None:
    db.execute("INSERT OR REPLACE INTO tags (reference, image) VALUES (?, ?)", (reference, image))


def delete_tag(db: Database, reference: str) -> bool:
    return db.execute("DELETE FROM tags WHERE reference = ?", (reference,)) > 0


def tags(db: Database) -> list[tuple[str, str]]:
    """(reference, image id) of every tag."""
    return [(row["reference"], row["image"]) for row in db.query("SELECT * FROM tags ORDER BY reference")]


def tagged(db: Database, reference: str) -> str | None:
    row = db.one("SELECT image FROM tags WHERE reference = ?", (reference,))
    return str(row["image"]) if row else None


def cache_get(db: Database, key: str) -> Layer | None:
    row = db.one(
        "SELECT layers.*, used FROM build_cache JOIN layers ON layers.number = build_cache.layer WHERE key = ?", (key,)
    )
    return _layer(row) if row else None


def cache_put(db: Database, key: str, layer: int) -> None:
    db.execute("INSERT OR REPLACE INTO build_cache (key, layer, used) VALUES (?, ?, ?)", (key, layer, now()))
