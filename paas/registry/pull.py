"""Pulling: a manifest, its config and the layers that are not here become an image of the store, or nothing does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.errors import Cancelled, DiskFull, InvalidInput, PaasError
from paas.faults import reached
from paas.image.apply import apply_layer, fill
from paas.image.foreign import parse_config
from paas.image.lease import Lease
from paas.image.reference import DOCKER_HUB, ImageReference
from paas.image.store import ImageStore
from paas.image.unpack import Limits
from paas.model import Image, Layer
from paas.registry.client import Fetched, Repository
from paas.registry.downloads import Downloads, disk_failure
from paas.registry.endpoints import Endpoints, ask
from paas.registry.manifests import Descriptor, Manifest, parse, total
from paas.registry.partials import Partials
from paas.registry.transport import Say, Transport, Unreachable
from paas.state.origins import BlobRow
from paas.system.disk import spare

_DEEPEST = 3
"""Indexes in indexes."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """`digest` is the manifest's, or that of the index which named it; not `fresh`: nothing had changed."""

    image: Image
    digest: str
    fresh: bool


class Puller:
    """`limit` is the largest content of an image, in bytes; `partials` is where layers lie until they are unpacked."""

    def __init__(self, store: ImageStore, endpoints: Endpoints, partials: Partials, limit: int) -> None:
        self._store = store
        self._endpoints = endpoints
        self._partials = partials
        self._limit = limit

    def pull(self, reference: ImageReference, say: Say, lease: Lease, cancelled: Callable[[], bool]) -> Pulled:
        """Pull and tag. Says what it does in Docker's words.

        Raises Unreachable, Denied, NotFound, Conflict, InvalidInput, SystemFailure, Cancelled; then there is no image.
        """
        with Transport(cancelled) as transport:
            repository, top = self._locate(reference, transport)
            say(f"{reference.digest or reference.tag}: Pulling from {repository.name}")
            current = self._current(reference, top.digest)
            if current is not None:
                lease.add(*current.layers)
                return Pulled(current, top.digest, False)
            manifest = self._choose(repository, top)
            image = self._image(repository, reference, manifest, say, lease)
        name = str(reference)
        self._store.tag(name, image.id)
        self._store.origins.note(name, image.id, top.digest)
        return Pulled(image, top.digest, True)

    def digest(self, reference: ImageReference, cancelled: Callable[[], bool]) -> str:
        """The digest that a tag has in its registry now."""
        with Transport(cancelled) as transport:
            if reference.registry == DOCKER_HUB and self._endpoints.mirrors():
                return self._locate(reference, transport)[1].digest
            endpoint = self._endpoints.find(reference.registry, transport)
            return self._endpoints.repository(endpoint, reference, transport).digest(reference.tag)

    def fetch_again(self, layer: Layer, blob: BlobRow, cancelled: Callable[[], bool]) -> None:
        """Put what a registry has of a layer in the place of its directory, which is damaged. Raises as `pull`; then
        all is as it was."""
        reference = ImageReference(blob.registry, blob.repository, "latest")
        wanted = Descriptor(blob.media_type, blob.digest, blob.size)
        with Transport(cancelled) as transport:
            endpoint = self._endpoints.find(blob.registry, transport)
            repository = self._endpoints.repository(endpoint, reference, transport)
            with (
                self._place(wanted.size) as directory,
                self._downloads(repository, directory, lambda line: None) as downloads,
                self._store.draft() as draft,
            ):
                downloads.start([wanted])
                try:
                    with downloads.wait(wanted).open("rb") as file:
                        fill(draft, file, diff_id=blob.diff_id, limits=Limits(self._limit), cancelled=cancelled)
                except OSError as error:
                    raise disk_failure(error) from error
                self._store.replace(layer, draft)

    def _locate(self, reference: ImageReference, transport: Transport) -> tuple[Repository, Fetched]:
        """The first of the mirrors and the registry itself that has the manifest."""
        wanted = reference.digest or reference.tag
        for mirror in self._endpoints.mirrors() if reference.registry == DOCKER_HUB else ():
            repository = self._endpoints.repository(mirror, reference, transport)
            try:
                ask(mirror, transport)
                return repository, repository.manifest(wanted)
            except PaasError:
                transport.wait(0)  # cancelled is no reason to ask the next one
        endpoint = self._endpoints.find(reference.registry, transport)
        repository = self._endpoints.repository(endpoint, reference, transport)
        return repository, repository.manifest(wanted)

    def _current(self, reference: ImageReference, digest: str) -> Image | None:
        """The image that the tag has here, when it is what the registry has."""
        known, tagged = self._store.origins.get(str(reference)), self._store.tagged(str(reference))
        return tagged if tagged is not None and known == (tagged.id, digest) else None

    def _choose(self, repository: Repository, fetched: Fetched) -> Manifest:
        for _ in range(_DEEPEST):
            found = parse(fetched.data, fetched.media_type)
            if isinstance(found, Manifest):
                return found
            fetched = repository.manifest(found[0].digest)
        raise InvalidInput("The image's indexes name each other")

    def _image(
        self, repository: Repository, reference: ImageReference, manifest: Manifest, say: Say, lease: Lease
    ) -> Image:
        foreign = parse_config(repository.small_blob(manifest.config))
        if len(foreign.diff_ids) != len(manifest.layers):
            raise InvalidInput("The image's config and manifest have different numbers of layers")
        parts = list(zip(manifest.layers, foreign.diff_ids, strict=True))
        here = {diff_id: self._store.layer_by_diff_id(diff_id, lease) for diff_id in foreign.diff_ids}
        for blob, diff_id in parts:
            say(f"{blob.short}: {'Pulling fs layer' if here[diff_id] is None else 'Already exists'}")
        missing = [blob for blob, diff_id in parts if here[diff_id] is None]
        layers: list[Layer] = []
        with self._place(total(missing)) as directory, self._downloads(repository, directory, say) as downloads:
            downloads.start(missing)
            left = self._limit
            for blob, diff_id in parts:
                layer = here[diff_id]
                if layer is None:
                    layer = self._take(downloads, blob, diff_id, left, say, lease, repository)
                    here[diff_id] = layer
                    found = BlobRow(
                        reference.registry, repository.name, blob.digest, blob.size, blob.media_type, diff_id
                    )
                    self._store.origins.set_blob(layer, found)  # only what was seen to be so
                left -= layer.size
                layers.append(layer)
        self._store.settle()
        return self._store.add_image(
            foreign.config, layers, foreign.history, foreign.created, foreign.architecture, lease=lease
        )

    def _take(
        self,
        downloads: Downloads,
        blob: Descriptor,
        diff_id: str,
        left: int,
        say: Say,
        lease: Lease,
        repository: Repository,
    ) -> Layer:
        path = downloads.wait(blob)
        reached("pull:downloaded")
        say(f"{blob.short}: Download complete")
        try:
            with path.open("rb") as file:
                layer = apply_layer(
                    self._store,
                    file,
                    lease,
                    diff_id=diff_id,
                    limits=Limits(size=max(left, 0)),
                    cancelled=repository.transport.cancelled,
                )
        except OSError as error:
            raise disk_failure(error) from error
        reached("pull:layer-kept")
        path.unlink()
        say(f"{blob.short}: Pull complete")
        return layer

    def _downloads(self, repository: Repository, directory: Path, say: Say) -> Downloads:
        return Downloads(repository, directory, say, self._partials.claim)

    @contextmanager
    def _place(self, size: int) -> Iterator[Path]:
        """A directory with room for so many bytes. After an interruption what it has is kept for the next pull."""
        directory = self._partials.workplace()
        try:
            if size > self._room(directory):
                self._partials.clear()
            if size > self._room(directory):
                raise DiskFull(
                    f"The image's layers take {size} bytes, compressed, which is more than there is room for",
                    hint="Make room: paas system:prune. The setting image_limit limits an image.",
                )
            yield directory
        except (Unreachable, Cancelled):
            self._partials.keep(directory)
            raise
        except BaseException:
            self._partials.drop(directory)
            raise
        self._partials.drop(directory)

    def _room(self, directory: Path) -> int:
        """Bytes that an image may take here."""
        return min(self._limit, max(0, shutil.disk_usage(directory).free - spare(directory)))
