"""Queries about where images came from and went to: digests of tags, and the blobs of layers in registries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.state.database import Database, Row


@dataclass(frozen=True, slots=True)
class BlobRow:
    """A layer as a registry has it; `digest` and `size` (bytes) are those of the compressed blob."""

    registry: str
    repository: str
    digest: str
    size: int
    media_type: str
    diff_id: str


def set_origin(db: Database, reference: str, image: str, digest: str) -> None:
    db.execute("INSERT OR REPLACE INTO origins (reference, image, digest) VALUES (?, ?, ?)", (reference, image, digest))


def origin(db: Database, reference: str) -> tuple[str, str] | None:
    """(image id, digest) of a tag that came from a registry or went there."""
    row = db.one("SELECT * FROM origins WHERE reference = ?", (reference,))
    return (row["image"], row["digest"]) if row else None


def origins(db: Database) -> list[tuple[str, str, str]]:
    """(reference, image id, digest)."""
    rows = db.query("SELECT * FROM origins ORDER BY reference")
    return [(row["reference"], row["image"], row["digest"]) for row in rows]


def set_blob(db: Database, layer: int, blob: BlobRow) -> None:
    db.execute(
        "INSERT OR REPLACE INTO blobs (layer, registry, repository, digest, size, media_type, diff_id)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (layer, blob.registry, blob.repository, blob.digest, blob.size, blob.media_type, blob.diff_id),
    )


def blobs(db: Database, layer: int, registry: str) -> Sequence[BlobRow]:
    """Where a registry has a layer."""
    return [
        _blob(row)
        for row in db.query(
            "SELECT * FROM blobs WHERE layer = ? AND registry = ? ORDER BY repository", (layer, registry)
        )
    ]


def places(db: Database, layer: int) -> Sequence[BlobRow]:
    """All registries that have a layer, and where."""
    return [
        _blob(row) for row in db.query("SELECT * FROM blobs WHERE layer = ? ORDER BY registry, repository", (layer,))
    ]


def _blob(row: Row) -> BlobRow:
    return BlobRow(row["registry"], row["repository"], row["digest"], row["size"], row["media_type"], row["diff_id"])


def users(db: Database, image: str) -> list[tuple[str, int]]:
    """(app, release) of the releases that have an image."""
    rows = db.query(
        "SELECT name, number FROM releases JOIN apps ON apps.id = releases.app WHERE image = ? ORDER BY name, number",
        (image,),
    )
    return [(row["name"], row["number"]) for row in rows]


def containers_of(db: Database, image: str) -> list[str]:
    """Names of the containers, running or not, that were made from an image."""
    return [row["name"] for row in db.query("SELECT name FROM containers WHERE image = ? ORDER BY name", (image,))]


def in_use(db: Database) -> set[str]:
    """Ids of the images that a release or a container has."""
    return {row["image"] for row in db.query("SELECT image FROM releases UNION SELECT image FROM containers")}
