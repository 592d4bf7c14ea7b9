"""The image store: layers, images, tags and the build cache."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paas.errors import Damaged, NotFound
from paas.faults import reached
from paas.image import config as codec
from paas.image.garbage import Garbage, Pruned
from paas.image.layers import LayerDraft, LayerFiles
from paas.image.lease import Lease
from paas.image.origins import Origins
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


@dataclass(frozen=True, slots=True)
class CacheUsage:
    """`size` in bytes of all layers that the build cache has; `reclaimable` of those that nothing else needs."""

    entries: int
    size: int
    reclaimable: int


class ImageStore:
    def __init__(self, db: Database, paths: Paths) -> None:
        self._db = db
        self._files = LayerFiles(db, paths.layers)
        self._lock = threading.RLock()
        """Held between finding something and leasing it, and while garbage is chosen."""
        self._leases: set[Lease] = set()
        self.origins = Origins(db)
        self._garbage = Garbage(db, self._files, self._lock, self._leases)

    # -- layers ---------------------------------------------------------------------------------------------------

    def layer_directory(self, number: int) -> Path:
        return self._files.path(number)

    def draft(self) -> LayerDraft:
        """A place for a new layer; use it as a context manager."""
        return self._files.draft()

    def commit(self, draft: LayerDraft, layer_id: str, diff_id: str | None = None) -> Layer:
        """Make a draft a layer, durably; when one with this id exists already that one is returned."""
        return self._files.commit(draft, layer_id, diff_id)

    def lease(self) -> Lease:
        """For a build, as a context manager: what it has found or made is not removed before it ends."""
        return Lease(self._lock, self._leases)

    def layer_by_id(self, id: str) -> Layer | None:
        return images.layer_by_id(self._db, id)

    def keep(self, draft: LayerDraft, layer_id: str, diff_id: str | None, lease: Lease) -> Layer:
        """Make a draft a layer, for as long as `lease` is held. It survives a crash of the machine after `settle`."""
        measured = self._files.measure(draft)
        with self._lock, self._db.transaction(durable=False):
            layer = self._files.commit_unsettled(draft, layer_id, measured, diff_id)
            lease.add(layer)
        return layer

    def layer_by_diff_id(self, diff_id: str, lease: Lease) -> Layer | None:
        """A layer that is here and whose tar has this digest, kept for as long as `lease` is held."""
        with self._lock:
            layer = images.layer_by_diff_id(self._db, diff_id)
            if layer is None or self._files.problem(layer) is not None:
                return None
            lease.add(layer)
        return layer

    def note_diff_id(self, layer: Layer, diff_id: str) -> None:
        """Remember the digest of the layer's tar, unless one is known: what came from elsewhere keeps the one there."""
        images.note_diff_id(self._db, layer.number, diff_id)

    def refuse_damaged(self, image: Image) -> None:
        """Before something is run from an image or built on it: it is what it was when it was made, as far as a look
        from outside shows. Raises Damaged."""
        problem = self.description_problem(image)
        if problem is not None:
            raise Damaged(f"The image {image.short_id} is damaged: {problem}")
        for layer in image.layers:
            if (problem := self._files.problem(layer)) is not None:
                raise Damaged(f"The image {image.short_id} is damaged, layer {layer.number}: {problem}")

    def description_problem(self, image: Image) -> str | None:
        """What is wrong with the rows of an image; None if nothing."""
        row = images.image(self._db, image.id)
        if row is None:
            return "its config is missing"
        return None if _id_of(row) == row.id else "its config or list of layers is not what its id says"

    def on_replaced(self, callback: Callable[[Layer], None]) -> None:
        """`callback(layer)` is called when another directory comes in the place of a layer's, which was damaged."""
        self._files.replaced = callback

    def layers(self) -> Sequence[Layer]:
        return images.layers(self._db)

    def altered(self, layer: Layer, cancelled: Callable[[], bool]) -> str | None:
        """What is wrong with a layer, all of its files read; None if nothing. Raises Cancelled."""
        return self._files.altered(layer, cancelled)

    def replace(self, layer: Layer, draft: LayerDraft) -> None:
        """Put a draft in the place of what is left of a layer."""
        measured = self._files.measure(draft)
        with self._lock:
            self._files.replace(layer, draft, measured.shape)

    def seal_one(self, cancelled: Callable[[], bool]) -> bool:
        """Read the files of a layer that nobody has read yet, so that a change of them is found later. False: all have
        been. Raises Cancelled."""
        return self._files.seal_one(cancelled)

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
        lease: Lease | None = None,
    ) -> Image:
        """Record an image. Its id is the sha256 of its canonical description: the same parts, the same id."""
        arch = architecture or machine_architecture()
        text, past = codec.dumps(config), codec.dump_history(tuple(history))
        row = ImageRow("", text, past, arch, created, tuple(layers))
        row = replace(row, id=(id := _id_of(row)))
        with self._lock:
            images.insert_image(self._db, row)
            if lease is not None:
                lease.images.add(id)
        reached("image:recorded")
        return _image(row)

    def youngest(self, layers: Sequence[Layer]) -> str:
        """When the last of these layers was made, RFC 3339; '' for none."""
        return images.youngest(self._db, [layer.number for layer in layers])

    def image(self, id: str) -> Image:
        """By its whole id. Raises NotFound."""
        row = images.image(self._db, id)
        if row is None:
            raise NotFound(f"There is no image {id}")
        return _image(row)

    def find(self, name: str, allowed: Collection[str] | None = None) -> Image:
        """By reference, or by a prefix of its id of at least four hex digits: of any id, or only of those `allowed`.

        Raises NotFound, with near matches.
        """
        known = dict(images.tags(self._db))
        plain = name.removeprefix("sha256:")
        reference = str(parse(name)) if not name.startswith("sha256:") else name
        if (tagged := known.get(reference)) is not None:
            return self.image(tagged)
        if 4 <= len(plain) <= 64 and all(c in "0123456789abcdef" for c in plain):
            found = (
                images.by_prefix(self._db, plain)
                if allowed is None
                else [id for id in allowed if id.startswith(f"sha256:{plain}")]
            )
            if len(found) == 1:
                return self.image(found[0])
            if found:
                raise NotFound(f"{shown(name)} is the beginning of several image ids", hint="Give more of it.")
        raise NotFound(f"There is no image {reference}", hint=_advice(reference, list(known)))

    def tag(self, reference: str, image_id: str) -> None:
        images.set_tag(self._db, str(parse(reference)), image_id)
        reached("image:tagged")

    def untag(self, reference: str) -> bool:
        return images.delete_tag(self._db, str(parse(reference)))

    def tagged(self, reference: str) -> Image | None:
        """The image with exactly this reference."""
        id = images.tagged(self._db, str(parse(reference)))
        return self.image(id) if id else None

    def names(self, image: Image) -> Sequence[str]:
        """The tags of an image."""
        return [reference for reference, id in images.tags(self._db) if id == image.id]

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

    def cache_get(self, key: str, lease: Lease) -> tuple[Layer, ...] | None:
        """The layers that a step came to, bottom first."""
        with self._lock:
            layers = images.cache_get(self._db, key)
            if layers is None or any(self._files.problem(layer) for layer in layers):
                return None
            lease.add(*layers)
        return layers

    def cache_put(
        self,
        key: str,
        draft: LayerDraft,
        layer_id: str,
        lease: Lease,
        below: Sequence[Layer] = (),
        admit: Callable[[int], None] = lambda size: None,
    ) -> tuple[Layer, ...]:
        """Keep a step's layer, which comes with those `below`. It survives a crash of the machine after `settle`.

        `admit` is told its bytes before; what it raises leaves no trace of the layer.
        """
        measured = self._files.measure(draft)
        admit(measured.size)
        with self._lock, self._db.transaction(durable=False):
            layers = (*below, self._files.commit_unsettled(draft, layer_id, measured))
            images.cache_put(self._db, key, layers)
            lease.add(*layers)
        reached("layer:cached")
        return layers

    def last_copy(self, shape: str, lease: Lease) -> tuple[tuple[Layer, ...], bytes] | None:
        """What the last COPY that was alike but for the content made, and its snapshot of the content."""
        with self._lock:
            found = images.last_copy(self._db, shape)
            if found is None or any(self._files.problem(layer) for layer in found[0]):
                return None
            lease.add(*found[0])
        return found

    def set_last_copy(self, shape: str, layers: Sequence[Layer], snapshot: bytes) -> None:
        with self._db.transaction(durable=False):
            images.set_last_copy(self._db, shape, layers, snapshot)

    def download(self, url: str) -> images.Download | None:
        """What ADD got from an address the last time."""
        return images.download(self._db, url)

    def set_download(self, url: str, found: images.Download) -> None:
        images.set_download(self._db, url, found)

    def settle(self, used: Sequence[str] = ()) -> None:
        """At the end of a build or a pull: bring its layers to disk, and note which cache entries it `used`."""
        self._files.settle_all()
        with self._db.transaction(durable=False):
            images.cache_touch(self._db, used)

    def cache_usage(self) -> CacheUsage:
        entries, size = images.cache_size(self._db)
        return CacheUsage(entries, size, sum(layer.size for layer, _ in images.cache_only(self._db)))

    # -- garbage --------------------------------------------------------------------------------------------------

    def prune(self, budget: int | None = None) -> Pruned:
        """Remove images and layers that nothing needs: no tag, release, build that runs, or the build cache.

        The cache keeps at most `budget` bytes that nothing else needs, dropping the least recently used; None: all.
        Killed half way it leaves directories that the next start removes.
        """
        return self._garbage.prune(budget)

    def remove(self, image: Image, *, untag: bool = False) -> Sequence[Layer]:
        """Remove an image, with its tags if `untag`, and what only it needs; returns those layers.

        Raises Conflict, naming the user, while a tag, a release, or a build needs it.
        """
        return self._garbage.remove(image, untag=untag)

    def unused(self) -> Sequence[Image]:
        """Images that no release and no build has, whether they have tags or not."""
        return [_image(row) for row in self._garbage.unused()]


def _id_of(row: ImageRow) -> str:
    parts = [row.config, row.history, row.created, row.architecture, [layer.id for layer in row.layers]]
    return "sha256:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


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
    return f"Pull it from its registry: paas pull {reference}. images:list shows those that are here."
