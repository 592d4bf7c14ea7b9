"""Leases: what a build uses, and nothing else needs yet, is kept until it ends."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from paas.model import Layer


class Lease:
    """A context manager. `layers` are numbers, `images` ids; both change under the store's lock only."""

    def __init__(self, lock: AbstractContextManager[Any], leases: set[Lease]) -> None:
        self._lock = lock
        self._leases = leases
        self.layers: set[int] = set()
        self.images: set[str] = set()

    def __enter__(self) -> Lease:
        with self._lock:
            self._leases.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._leases.discard(self)

    def add(self, *layers: Layer) -> None:
        with self._lock:
            self.layers.update(layer.number for layer in layers)
