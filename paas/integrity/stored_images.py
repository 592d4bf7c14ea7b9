"""Images and their layers: what nothing vouches for any more is fetched or built again, never run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paas.image.store import ImageStore
from paas.integrity.finding import Asked, Finding
from paas.model import Image, Layer
from paas.registry.registries import Registries
from paas.state import images as image_rows
from paas.state import origins
from paas.state.database import Database


class Images:
    def __init__(self, db: Database, store: ImageStore, registries: Registries) -> None:
        self._db = db
        self._store = store
        self._registries = registries

    def check(self, asked: Asked) -> Iterator[Finding]:
        """Reads every file of every layer."""
        all = {entry.image.id: entry.image for entry in self._store.list()}.values()
        for image in all:
            problem = self._store.description_problem(image)
            if problem is not None:
                yield Finding("image", image.short_id, problem + self._users([image]), self._advice([image]))
        for layer in self._store.layers():
            problem = self._store.altered(layer, asked.cancelled)
            if problem is not None:
                yield self._layer(layer, problem, [image for image in all if layer in image.layers], asked)

    def _layer(self, layer: Layer, problem: str, users: Sequence[Image], asked: Asked) -> Finding:
        name, problem = str(layer.number), problem + self._users(users)
        advice = self._advice(users) if users else "Only the build cache has it: --repair drops it."
        if not asked.repair:
            return Finding("layer", name, problem, advice)
        reason = self._registries.fetch_again(layer, asked.cancelled)
        if reason is None:
            return Finding("layer", name, problem, repaired="fetched again; restart what runs on it")
        if not users:
            with self._db.transaction():
                image_rows.cache_drop(self._db, layer.number)
                image_rows.drop_copies_of(self._db, layer.number)
            self._store.prune()
            return Finding("layer", name, problem, repaired="dropped from the build cache")
        return Finding("layer", name, f"{problem}; it cannot be fetched: {reason}", advice)

    def _users(self, images: Sequence[Image]) -> str:
        """` (wiki releases 3 and 4, debian:bookworm)`."""
        found = [name for image in images for name in self._store.names(image)]
        found += [f"{app} release {number}" for image in images for app, number in origins.users(self._db, image.id)]
        found += [f"container {name}" for image in images for name in origins.containers_of(self._db, image.id)]
        return f" (in {', '.join(found)})" if found else ""

    def _advice(self, images: Sequence[Image]) -> str:
        """Base images first: what is built on them needs them."""
        steps = []
        for image in images:
            for name in self._store.names(image):
                if self._store.origins.get(name) is not None:
                    steps.append(f"paas rmi --force {name}; paas pull {name}")
                elif name.partition(":")[0] in ("debian", "ubuntu"):
                    steps.append(f"paas images:bootstrap {name} --force")
                else:
                    steps.append(f"build or load {name} again")
        apps = dict.fromkeys(app for image in images for app, _ in origins.users(self._db, image.id))
        steps += [f"paas ps:rebuild {app}" for app in apps]
        return "; then ".join(steps)
