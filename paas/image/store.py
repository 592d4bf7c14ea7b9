"""The image store: layers, images, tags and the build cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.errors import NotFound
from paas.image import config as codec
from paas.image.layers import LayerDraft, LayerFiles
from paas.image.reference import parse
from paas.model import HistoryEntry, Image, ImageConfig, Layer
from paas.names import nearest, shown
from paas.paths import Paths
from paas.state import images
from paas.state.database import Database
from paas.state.images import ImageRow
from paas.system.mounts import architecture as machine_architecture


@dataclass(frozen=True, slots=True)
class TaggedImage:
    """`reference` is None for an image that only releases or other images need."""

    reference: str | None
    image: Image


class ImageStore:
    def __init__(self, db: Database, paths: Paths) -> None:
        self._db = db
        self._files = LayerFiles(db, paths.layers)

    # -- layers ---------------------------------------------------------------------------------------------------

    def layer_directory(self, number: int) -> Path:
        return self._files.path(number)

    def draft(self) -> LayerDraft:
        """A place for a new layer; use it as a context manager."""
        return self._files.draft()

    def commit(self, draft: LayerDraft, layer_id: str, diff_id: str | None = None) -> Layer:
        """Make a draft a layer; when one with this id exists already that one is returned."""
        return self._files.commit(draft, layer_id, diff_id)

    def layer_by_id(self, id: str) -> Layer | None:
        return images.layer_by_id(self._db, id)

    def recover(self) -> list[Layer]:
        """At start: remove half-made layers; returns those that the database has and the disk has not."""
        return self._files.recover()

    # -- images ---------------------------------------------------------------------------------------------------

    def add_image(
        self,
        config: ImageConfig,
        layers: Sequence[Layer],
        history: Sequence[HistoryEntry],
        created: str,
        architecture: str | None = None,
    ) -> Image:
        """Record an image. Its id is the sha256 of its canonical description: the same parts, the same id."""
        arch = architecture or machine_architecture()
        text, past = codec.dumps(config), codec.dump_history(tuple(history))
        description = json.dumps([text, past, created, arch, [layer.id for layer in layers]])
        id = "sha256:" + hashlib.sha256(description.encode()).hexdigest()
        row = ImageRow(id, text, past, arch, created, tuple(layers))
        images.insert_image(self._db, row)
        return _image(row)

    def image(self, id: str) -> Image:
        """By its whole id. Raises NotFound."""
        row = images.image(self._db, id)
        if row is None:
            raise NotFound(f"There is no image {id}")
        return _image(row)

    def find(self, name: str) -> Image:
        """By reference, or by a prefix of its id of at least four hex digits. Raises NotFound, with near matches."""
        known = dict(images.tags(self._db))
        plain = name.removeprefix("sha256:")
        reference = str(parse(name)) if not name.startswith("sha256:") else name
        if (tagged := known.get(reference)) is not None:
            return self.image(tagged)
        if 4 <= len(plain) <= 64 and all(c in "0123456789abcdef" for c in plain):
            found = images.by_prefix(self._db, plain)
            if len(found) == 1:
                return self.image(found[0])
            if found:
                raise NotFound(f"{shown(name)} is the beginning of several image ids", hint="Give more of it.")
        raise NotFound(f"There is no image {reference}", hint=_advice(reference, list(known)))

    def tag(self, reference: str, image_id: str) -> None:
        images.set_tag(self._db, str(parse(reference)), image_id)

    def untag(self, reference: str) -> bool:
        return images.delete_tag(self._db, str(parse(reference)))

    def tagged(self, reference: str) -> Image | None:
        """The image with exactly this reference."""
        id = images.tagged(self._db, str(parse(reference)))
        return self.image(id) if id else None

    def list(self) -> list[TaggedImage]:
        """Newest first, once for each tag."""
        names: dict[str, list[str | None]] = {}
        for reference, id in images.tags(self._db):
            names.setdefault(id, []).append(reference)
        found = []
        for row in images.images(self._db):
            found += [TaggedImage(name, _image(row)) for name in names.get(row.id, [None])]
        return found

    # -- build cache ----------------------------------------------------------------------------------------------

    def cache_get(self, key: str) -> Layer | None:
        layer = images.cache_get(self._db, key)
        return layer if layer is not None and self._files.path(layer.number).is_dir() else None

    def cache_put(self, key: str, layer: Layer) -> None:
        images.cache_put(self._db, key, layer.number)

    # -- garbage --------------------------------------------------------------------------------------------------

    def prune(self) -> tuple[int, int]:
        """Remove images and layers that nothing needs; returns how many of each.

        Not to be called while something is built: an image that no release or tag has yet counts as not needed.
        """
        with self._db.transaction():
            doomed = images.unused_images(self._db)
            for id in doomed:
                images.delete_image(self._db, id)
            layers = images.unused_layers(self._db)
            for layer in layers:
                images.delete_layer(self._db, layer.number)
        for layer in layers:
            self._files.remove_directory(layer)
        return len(doomed), len(layers)


def _image(row: ImageRow) -> Image:
    return Image(
        row.id, codec.loads(row.config), row.layers, codec.load_history(row.history), row.created, row.architecture
    )


def _advice(reference: str, known: Sequence[str]) -> str:
    close = nearest(reference, known)
    if close:
        return f"Did you mean {', '.join(close)}?"
    name, _, suite = reference.partition(":")
    if name in ("debian", "ubuntu"):
        base = name if suite == "latest" else reference
        return f"Make it from {name}'s packages, once, on the host: paas images:bootstrap {base}"
    return "images:list shows those that are here; images:bootstrap debian:bookworm makes a base image."
