"""Queries about layers, images, tags and the build cache. JSON columns hold what paas.image.config writes."""

from __future__ import annotations

from collections.abc import Sequence
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


def layer_by_diff_id(db: Database, diff_id: str) -> Layer | None:
    """The newest layer whose tar has this digest."""
    row = db.one("SELECT * FROM layers WHERE diff_id = ? ORDER BY number DESC LIMIT 1", (diff_id,))
    return _layer(row) if row else None


def diff_id(db: Database, number: int) -> str:
    """'' where nothing needed it yet."""
    row = db.one("SELECT diff_id FROM layers WHERE number = ?", (number,))
    return str(row["diff_id"] or "") if row else ""


def layers(db: Database) -> list[Layer]:
    return [_layer(row) for row in db.query("SELECT * FROM layers ORDER BY number")]


def insert_layer(db: Database, id: str, size: int, diff_id: str | None, *, settled: bool) -> Layer:
    with db.transaction() as connection:
        cursor = connection.execute(
            "INSERT INTO layers (id, size, diff_id, created, settled) VALUES (?, ?, ?, ?, ?)",
            (id, size, diff_id, now(), settled),
        )
        assert cursor.lastrowid is not None
        return Layer(cursor.lastrowid, id, size)


def unsettled_layers(db: Database) -> list[Layer]:
    """Layers whose content may not be on disk yet."""
    return [_layer(row) for row in db.query("SELECT * FROM layers WHERE NOT settled")]


def set_settled(db: Database, numbers: Sequence[int]) -> None:
    with db.transaction() as connection:
        connection.executemany("UPDATE layers SET settled = 1 WHERE number = ?", [(number,) for number in numbers])


def youngest(db: Database, numbers: Sequence[int]) -> str:
    """When the last of these layers was made; '' for none."""
    marks = ",".join("?" * len(numbers))
    row = db.one(f"SELECT max(created) AS created FROM layers WHERE number IN ({marks})", tuple(numbers))
    return str(row["created"] or "") if row else ""


def note_diff_id(db: Database, number: int, diff_id: str) -> None:
    """Nothing happens when the layer has one already."""
    db.execute("UPDATE layers SET diff_id = ? WHERE number = ? AND diff_id IS NULL", (diff_id, number))


def delete_layer(db: Database, number: int) -> None:
    db.execute("DELETE FROM layers WHERE number = ?", (number,))


def unused_layers(db: Database) -> list[Layer]:
    """Layers of no image and no cache entry."""
    rows = db.query(
        "SELECT * FROM layers WHERE number NOT IN (SELECT layer FROM image_layers)"
        " AND number NOT IN (SELECT layer FROM build_cache WHERE layer IS NOT NULL)"
    )
    return [_layer(row) for row in rows]


def cache_only(db: Database) -> list[tuple[Layer, str]]:
    """Layers that only the build cache needs, the least recently used first, each with when that was."""
    rows = db.query(
        "SELECT layers.*, max(used) AS used FROM build_cache JOIN layers ON layers.number = build_cache.layer"
        " WHERE number NOT IN (SELECT layer FROM image_layers) GROUP BY number ORDER BY used, number"
    )
    return [(_layer(row), row["used"]) for row in rows]


def cache_size(db: Database) -> tuple[int, int]:
    """(entries, bytes of all layers that the cache has)."""
    row = db.one(
        "SELECT count(*) AS entries, coalesce((SELECT sum(size) FROM layers"
        " WHERE number IN (SELECT layer FROM build_cache)), 0) AS bytes FROM build_cache"
    )
    return (row["entries"], row["bytes"]) if row else (0, 0)


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
    """Images without a tag that no release and no container uses."""
    rows = db.query(
        "SELECT id FROM images WHERE id NOT IN (SELECT image FROM tags) AND id NOT IN (SELECT image FROM releases)"
        " AND id NOT IN (SELECT image FROM containers)"
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


def cache_get(db: Database, key: str) -> tuple[Layer, ...] | None:
    """The layers of a step, bottom first."""
    row = db.one(
        "SELECT layers.*, below FROM build_cache JOIN layers ON layers.number = build_cache.layer WHERE key = ?", (key,)
    )
    if row is None:
        return None
    below = _by_numbers(db, row["below"])
    return None if below is None else (*below, _layer(row))


def cache_put(db: Database, key: str, layers: Sequence[Layer]) -> None:
    db.execute(
        "INSERT OR REPLACE INTO build_cache (key, layer, below, used) VALUES (?, ?, ?, ?)",
        (key, layers[-1].number, _numbers(layers[:-1]), now()),
    )


def cache_touch(db: Database, keys: Sequence[str]) -> None:
    """Note that these entries were used."""
    at = now()
    with db.transaction() as connection:
        connection.executemany("UPDATE build_cache SET used = ? WHERE key = ?", [(at, key) for key in keys])


def cache_drop(db: Database, layer: int | None = None) -> None:
    """Forget the entries of a layer, or all of them."""
    if layer is None:
        db.execute("DELETE FROM build_cache")
        db.execute("DELETE FROM copies")
    else:
        db.execute("DELETE FROM build_cache WHERE layer = ?", (layer,))


def last_copy(db: Database, shape: str) -> tuple[tuple[Layer, ...], bytes] | None:
    """What the last COPY of this shape made, and from what."""
    row = db.one("SELECT * FROM copies WHERE shape = ?", (shape,))
    layers = _by_numbers(db, row["layers"]) if row else None
    return (layers, bytes(row["snapshot"])) if row and layers else None


def set_last_copy(db: Database, shape: str, layers: Sequence[Layer], snapshot: bytes) -> None:
    db.execute(
        "INSERT OR REPLACE INTO copies (shape, layers, snapshot) VALUES (?, ?, ?)",
        (shape, _numbers(layers), snapshot),
    )


def drop_copies_of(db: Database, layer: int) -> None:
    """Forget what a COPY made that has this layer."""
    for row in db.query("SELECT shape, layers FROM copies"):
        if str(layer) in row["layers"].split():
            db.execute("DELETE FROM copies WHERE shape = ?", (row["shape"],))


def drop_lost_copies(db: Database) -> None:
    """Forget those whose layers are gone."""
    for row in db.query("SELECT shape, layers FROM copies"):
        if _by_numbers(db, row["layers"]) is None:
            db.execute("DELETE FROM copies WHERE shape = ?", (row["shape"],))


@dataclass(frozen=True, slots=True)
class Download:
    etag: str
    content: str
    name: str
    time: int | None


def download(db: Database, url: str) -> Download | None:
    row = db.one("SELECT * FROM downloads WHERE url = ?", (url,))
    return Download(row["etag"], row["content"], row["name"], row["time"]) if row else None


def set_download(db: Database, url: str, found: Download) -> None:
    db.execute(
        "INSERT OR REPLACE INTO downloads (url, etag, content, name, time) VALUES (?, ?, ?, ?, ?)",
        (url, found.etag, found.content, found.name, found.time),
    )


def _numbers(layers: Sequence[Layer]) -> str:
    return " ".join(str(layer.number) for layer in layers)


def _by_numbers(db: Database, text: str) -> tuple[Layer, ...] | None:
    """None when one of them is gone."""
    found = []
    for number in text.split():
        row = db.one("SELECT * FROM layers WHERE number = ?", (int(number),))
        if row is None:
            return None
        found.append(_layer(row))
    return tuple(found)
