"""What the image store removes, and what it must not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from paas.errors import Conflict
from paas.faults import reached
from paas.image.layers import LayerFiles
from paas.image.lease import Lease
from paas.model import Image, Layer
from paas.state import images, origins
from paas.state.database import Database
from paas.state.images import ImageRow


@dataclass(frozen=True, slots=True)
class Pruned:
    images: int
    layers: int
    size: int
    """Bytes."""


class Garbage:
    """The store's: `lock` is held while something is chosen."""

    def __init__(self, db: Database, files: LayerFiles, lock: AbstractContextManager[Any], leases: set[Lease]) -> None:
        self._db = db
        self._files = files
        self._lock = lock
        self._leases = leases

    def prune(self, budget: int | None = None) -> Pruned:
        """Remove images and layers that nothing needs: no tag, release, build that runs, or the build cache.

        The cache keeps at most `budget` bytes that nothing else needs, dropping the least recently used; None: all.
        Killed half way it leaves directories that the next start removes.
        """
        with self._lock, self._db.transaction():
            held = set().union(*(lease.layers for lease in self._leases))
            doomed = [id for id in images.unused_images(self._db) if not self._is_held(id)]
            for id in doomed:
                images.delete_image(self._db, id)
            if budget is not None:
                self._trim(budget, held)
            layers = self._sweep()
        reached("prune:forgotten")
        for layer in layers:
            self._files.remove_directory(layer)
        return Pruned(len(doomed), len(layers), sum(layer.size for layer in layers))

    def remove(self, image: Image, *, untag: bool = False) -> list[Layer]:
        """Remove an image, with its tags if `untag`, and what only it needs; returns those layers.

        Raises Conflict, naming the user, while a tag, a release, a container or a build needs it.
        """
        with self._lock, self._db.transaction():
            names = [reference for reference, id in images.tags(self._db) if id == image.id]
            if names and not untag:
                raise Conflict(
                    f"The image {image.short_id} is used by {', '.join(names)}", hint="Name these, or add --force."
                )
            users = origins.users(self._db, image.id)
            if users:
                raise Conflict(
                    f"The image {names[0] if names else image.short_id} is used by {_release_names(users)}",
                    hint="An image goes with its releases: apps:destroy APP.",
                )
            containers = origins.containers_of(self._db, image.id)
            if containers:
                raise Conflict(
                    f"The image {names[0] if names else image.short_id} is used by container {', '.join(containers)}",
                    hint=f"Remove it first: rm {containers[0]}",
                )
            if self._is_held(image.id):
                raise Conflict(f"The image {image.short_id} is used by a build", hint="Try again when it has ended.")
            for name in names:
                images.delete_tag(self._db, name)
            images.delete_image(self._db, image.id)
            layers = self._sweep({layer.number for layer in image.layers})
        for layer in layers:
            self._files.remove_directory(layer)
        return layers

    def unused(self) -> Sequence[ImageRow]:
        """Images that no release, container or build has."""
        used = origins.in_use(self._db)
        with self._lock:
            return [row for row in images.images(self._db) if row.id not in used and not self._is_held(row.id)]

    def _sweep(self, among: set[int] | None = None) -> list[Layer]:
        """Forget layers that nothing needs, or those among them; their directories are to be removed after that."""
        held = set().union(*(lease.layers for lease in self._leases))
        images.drop_lost_copies(self._db)
        layers = [
            layer
            for layer in images.unused_layers(self._db)
            if layer.number not in held and (among is None or layer.number in among)
        ]
        for layer in layers:
            images.delete_layer(self._db, layer.number)
        images.drop_lost_copies(self._db)
        return layers

    def _trim(self, budget: int, held: set[int]) -> None:
        candidates = images.cache_only(self._db)
        size = sum(layer.size for layer, _ in candidates)
        for layer, _ in candidates:
            if size <= budget:
                return
            if layer.number not in held:
                images.cache_drop(self._db, layer.number)
                size -= layer.size

    def _is_held(self, image: str) -> bool:
        return any(image in lease.images for lease in self._leases)


def _release_names(users: Sequence[tuple[str, int]]) -> str:
    """`wiki (release 3), shop (releases 1, 2)`."""
    numbers: dict[str, list[str]] = {}
    for app, number in users:
        numbers.setdefault(app, []).append(str(number))
    return ", ".join(f"{app} (release{'s' * (len(all) > 1)} {', '.join(all)})" for app, all in numbers.items())
