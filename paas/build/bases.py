"""Where the images come from that FROM and --from name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from paas.image.lease import Lease
from paas.image.store import ImageStore
from paas.model import Image


class BaseImages(Protocol):
    def find(
        self,
        name: str,
        *,
        lease: Lease,
        say: Callable[[str], object],
        cancelled: Callable[[], bool],
        refresh: bool,
        trusted: bool,
        allowed: Collection[str] = (),
    ) -> Image:
        """An image by reference or id, kept for as long as `lease` is held.

        `say` takes lines for the build's output while it is fetched. `refresh`: take a newer one where there is one.
        Not `trusted`: whoever asks may reach public registries only, and those that this machine was told of; and by
        id only the images `allowed`, because an image without a name is some app's own. Raises PaasError.
        """


class LocalImages:
    """Those of the store, and no others."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    def find(
        self,
        name: str,
        *,
        lease: Lease,
        say: Callable[[str], object],
        cancelled: Callable[[], bool],
        refresh: bool,
        trusted: bool,
        allowed: Collection[str] = (),
    ) -> Image:
        image = self._store.find(name, None if trusted else allowed)
        lease.add(*image.layers)
        return image
