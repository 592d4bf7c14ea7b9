"""Pushing: layers that the registry does not have, the config, and the manifest last, so that nobody sees a part."""

from __future__ import annotations

import functools
import json
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from paas.image.archive import config_json
from paas.image.packing import pack_layer
from paas.image.reference import ImageReference
from paas.image.store import ImageStore
from paas.model import Image, Layer
from paas.output import decimal_bytes
from paas.registry.client import Repository, digest_of
from paas.registry.downloads import disk_failure
from paas.registry.endpoints import Endpoints
from paas.registry.manifests import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor
from paas.registry.transport import Say, Transport
from paas.registry.uploads import Ahead, upload, upload_bytes
from paas.state.origins import BlobRow
from paas.system.files import ensure_directory

_AT_ONCE = 3
_AS_OCI = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": OCI_LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
"""Blobs of Docker's types that are reused in a manifest of OCI's."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """The manifest's digest, and its size in bytes."""

    digest: str
    size: int


class Pusher:
    """`scratch` is where a layer's blob lies until it is sent."""

    def __init__(self, store: ImageStore, endpoints: Endpoints, scratch: Path) -> None:
        self._store = store
        self._endpoints = endpoints
        self._scratch = scratch

    def push(self, reference: ImageReference, image: Image, say: Say, cancelled: Callable[[], bool]) -> Pushed:
        """Push an image under a tag. Says what it does in Docker's words.

        Raises Unreachable, Denied, NotFound, Conflict, InvalidInput, SystemFailure, Cancelled.
        """
        failed = threading.Event()
        with Transport(lambda: failed.is_set() or cancelled()) as transport, self._store.lease() as lease:
            lease.add(*image.layers)
            endpoint = self._endpoints.find(reference.registry, transport)
            repository = self._endpoints.repository(endpoint, reference, transport)
            repository.want_to_push()
            say(f"The push refers to repository [{reference.registry}/{repository.name}]")
            for layer in image.layers:
                say(f"{_short(layer)}: Preparing")
            blobs = self._layers(repository, reference.registry, image, say, failed)
            parts = [blobs[layer.number] for layer in image.layers]
            config = _json(config_json(image, [part.diff_id for part in parts]))
            described = Descriptor(OCI_CONFIG, digest_of(config), len(config))
            upload_bytes(repository, described, config)
            manifest = _json(
                {
                    "schemaVersion": 2,
                    "mediaType": OCI_MANIFEST,
                    "config": described.to_json(),
                    "layers": [_descriptor(part).to_json() for part in parts],
                }
            )
            repository.put_manifest(reference.tag, manifest, OCI_MANIFEST)
        digest = digest_of(manifest)
        if self._store.tagged(str(reference)) == image:
            self._store.origins.note(str(reference), image.id, digest)
        return Pushed(digest, len(manifest))

    def _layers(
        self, repository: Repository, registry: str, image: Image, say: Say, failed: threading.Event
    ) -> dict[int, BlobRow]:
        """Make sure that the repository has all layers, several at a time; the first that fails stops the others."""
        errors: list[BaseException] = []

        def one(layer: Layer) -> tuple[int, BlobRow] | None:
            try:
                repository.transport.wait(0)  # raises Cancelled, also once another one has failed
                return layer.number, self._layer(repository, registry, layer, say)
            except BaseException as error:  # noqa: BLE001  raised below, the first of them
                errors.append(error)
                failed.set()
                return None

        layers = {layer.number: layer for layer in image.layers}
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload") as pool:
            done = list(pool.map(one, layers.values()))
        if errors:
            raise errors[0]
        return dict(found for found in done if found is not None)

    def _layer(self, repository: Repository, registry: str, layer: Layer, say: Say) -> BlobRow:
        """Make sure that the repository has a layer."""
        known = self._store.origins.blobs(layer, registry)
        for blob in known:
            if blob.repository == repository.name and repository.has_blob(blob.digest):
                say(f"{_short(layer)}: Layer already exists")
                return blob
        location = None
        for blob in known:
            if blob.repository != repository.name and location is None:
                location = repository.begin_upload(blob.digest, blob.repository)
                if location is None:
                    say(f"{_short(layer)}: Mounted from {blob.repository}")
                    return self._noted(repository, registry, layer, _descriptor(blob), blob.diff_id)
        return self._send(repository, registry, layer, location, say)

    def _send(self, repository: Repository, registry: str, layer: Layer, location: str | None, say: Say) -> BlobRow:
        try:
            with (
                tempfile.TemporaryFile(dir=ensure_directory(self._scratch, mode=0o711)) as file,
                Ahead(repository, file, location) as ahead,
            ):
                packed = pack_layer(self._store, layer, ahead)
                ahead.end()
                blob = Descriptor(OCI_LAYER, packed.digest, packed.size)
                if location is None and repository.has_blob(blob.digest):
                    ahead.abandon()
                    say(f"{_short(layer)}: Layer already exists")
                else:
                    show = functools.partial(_show, say, _short(layer), blob.size)
                    upload(repository, blob, file, ahead.location, show, ahead.offset)
                    say(f"{_short(layer)}: Pushed")
        except OSError as error:
            raise disk_failure(error) from error
        return self._noted(repository, registry, layer, blob, packed.diff_id)

    def _noted(self, repository: Repository, registry: str, layer: Layer, blob: Descriptor, diff_id: str) -> BlobRow:
        row = BlobRow(registry, repository.name, blob.digest, blob.size, blob.media_type, diff_id)
        self._store.origins.set_blob(layer, row)
        return row


def _descriptor(blob: BlobRow) -> Descriptor:
    return Descriptor(_AS_OCI.get(blob.media_type, blob.media_type), blob.digest, blob.size)


def _show(say: Say, short: str, size: int, sent: int) -> None:
    say(f"{short}: Pushing {decimal_bytes(sent)}/{decimal_bytes(size)}")


def _short(layer: Layer) -> str:
    return layer.id.removeprefix("sha256:")[:12]


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
