"""One step that may add a layer: found in the cache, or made on an overlay of the layers below."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from paas.build import keys
from paas.image.layers import LayerDraft
from paas.image.store import ImageStore
from paas.model import Layer
from paas.paths import Paths
from paas.runtime.rootfs import mounted_plain

EMPTY = keys.digest("empty layer")
"""Id of the layer without content: a step that changed nothing is cached under it, and images leave it out."""


class Layering:
    def __init__(self, store: ImageStore, paths: Paths) -> None:
        self._store = store
        self._paths = paths

    def cached(self, key: str) -> Layer | None:
        return self._store.cache_get(key)

    @contextmanager
    def root(self, layers: Sequence[Layer], draft: LayerDraft | None = None) -> Iterator[int]:
        """The file system of these layers as a directory descriptor: to be changed in a draft, else to be read."""
        scratch = self._paths.run / "build" / secrets.token_hex(6)
        numbers = [layer.number for layer in layers]
        with mounted_plain(scratch, self._paths.layers, numbers, draft.directory if draft else None) as path:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def change(self, below: Sequence[Layer], key: str, identity: str, make: Callable[[int], None]) -> Layer:
        """A new layer of what `make` changes below the root directory it is given (a descriptor)."""

        def on_overlay(draft: LayerDraft) -> None:
            with self.root(below, draft) as descriptor:
                make(descriptor)

        return self.add(key, identity, on_overlay)

    def add(self, key: str, identity: str, make: Callable[[LayerDraft], None]) -> Layer:
        """A new layer of what `make` leaves in the draft's upper directory, kept and cached under `key`."""
        with self._store.draft() as draft:
            make(draft)
            empty = not any(draft.upper.iterdir())
            layer = self._store.commit(draft, EMPTY if empty else identity)
        self._store.cache_put(key, layer)
        return layer
