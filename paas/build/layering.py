"""One step that may add a layer: found in the cache, or made on an overlay of the layers below."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from paas.build import keys
from paas.errors import InvalidInput
from paas.image.layers import LayerDraft
from paas.image.lease import Lease
from paas.image.store import ImageStore
from paas.model import Image, Layer
from paas.paths import Paths
from paas.runtime.rootfs import begin_upper, mounted_plain

EMPTY = keys.digest("empty layer")
"""Id of the layer without content: a step that changed nothing is cached under it, and images leave it out."""


_MOST_LAYERS = 500
"""That overlayfs takes (OVL_MAX_STACK)."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a step came to: its layers, bottom first (most have one)."""

    layers: tuple[Layer, ...]
    cached: bool


class Layering:
    """For one build. Thread-safe."""

    def __init__(
        self, store: ImageStore, paths: Paths, lease: Lease, *, use_cache: bool = True, room: int = 1 << 62
    ) -> None:
        """`room`: bytes that new layers may have together."""
        self._store = store
        self._paths = paths
        self.lease = lease
        self._use_cache = use_cache
        self.room = room
        self._taking = threading.Lock()
        self.used: list[str] = []
        """Keys that were found in the cache, or put there."""

    def cached(self, key: str) -> Done | None:
        layers = self._store.cache_get(key, self.lease) if self._use_cache else None
        if layers is None:
            return None
        self.used.append(key)
        return Done(layers, cached=True)

    def refuse_damaged(self, image: Image) -> None:
        """Raises Damaged for one that is not to be built upon."""
        self._store.refuse_damaged(image)

    def last_copy(self, shape: str) -> tuple[tuple[Layer, ...], bytes] | None:
        return self._store.last_copy(shape, self.lease) if self._use_cache else None

    def set_last_copy(self, shape: str, layers: Sequence[Layer], snapshot: bytes) -> None:
        self._store.set_last_copy(shape, layers, snapshot)

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

    def change(
        self,
        below: Sequence[Layer],
        key: str,
        identity: str,
        make: Callable[[int], None],
        bringing: Sequence[Layer] = (),
    ) -> Done:
        """A new layer of what `make` changes below the root directory it is given (a descriptor).

        The step's layers are those that it is `bringing` along and the new one.
        """

        def on_overlay(draft: LayerDraft) -> None:
            with self.root([*below, *bringing], draft) as descriptor:
                make(descriptor)

        return self.add(below, key, identity, on_overlay, bringing)

    def add(
        self,
        below: Sequence[Layer],
        key: str,
        identity: str,
        make: Callable[[LayerDraft], None],
        bringing: Sequence[Layer] = (),
    ) -> Done:
        """A new layer of what `make` leaves in the draft's upper directory, kept and cached under `key`."""
        if len(below) + len(bringing) >= _MOST_LAYERS:
            raise InvalidInput(
                f"An image has at most {_MOST_LAYERS} layers",
                hint="Do in one step what several do, or use more stages.",
            )
        with self._store.draft() as draft:
            begin_upper(draft.upper, self._paths.layers, [layer.number for layer in (*below, *bringing)])
            make(draft)
            empty = not any(draft.upper.iterdir())
            layers = self._store.cache_put(key, draft, EMPTY if empty else identity, self.lease, bringing, self._take)
        self.used.append(key)
        return Done(layers, cached=False)

    def _take(self, size: int) -> None:
        """Before a layer of this size is kept: what is refused is not to be found in the cache."""
        with self._taking:
            if size > self.room:
                raise InvalidInput(
                    "The build wrote more than it may to the disk", hint="Allow more: builder:set APP disk 20g"
                )
            self.room -= size
