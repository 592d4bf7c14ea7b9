"""Where images came from and went to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from paas.image.reference import parse
from paas.model import Layer
from paas.state import images, origins
from paas.state.database import Database
from paas.state.origins import BlobRow


class Origins:
    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, reference: str, image_id: str, digest: str) -> None:
        """Note which manifest a tag was in its registry."""
        origins.set_origin(self._db, str(parse(reference)), image_id, digest)

    def get(self, reference: str) -> tuple[str, str] | None:
        """(image id, manifest digest) of a tag that came from a registry or went there."""
        return origins.origin(self._db, str(parse(reference)))

    def digests(self) -> dict[str, set[str]]:
        """By image id, `NAME@DIGEST` of where it came from or went to."""
        found: dict[str, set[str]] = {}
        for reference, image, digest in origins.origins(self._db):
            found.setdefault(image, set()).add(str(replace(parse(reference), digest=digest)))
        return found

    def set_blob(self, layer: Layer, blob: BlobRow) -> None:
        """Note where a registry has a layer."""
        origins.set_blob(self._db, layer.number, blob)

    def blobs(self, layer: Layer, registry: str) -> Sequence[BlobRow]:
        return origins.blobs(self._db, layer.number, registry)

    def places(self, layer: Layer) -> Sequence[BlobRow]:
        """Where registries have a layer, whichever they are."""
        return origins.places(self._db, layer.number)

    def diff_id(self, layer: Layer) -> str:
        """The digest of the layer's tar; '' while nothing needed it."""
        return images.diff_id(self._db, layer.number)
