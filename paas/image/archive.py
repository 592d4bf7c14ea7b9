"""Images for other tools: an OCI image layout (image-layout.md), in a directory or as a tar.

The tar is a docker-archive as well (it has the manifest.json of `docker save`), so that `docker load`, `podman load`
and everything that reads OCI layouts take the same file. The same image always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from paas.errors import SystemFailure
from paas.image.config import to_oci
from paas.image.packing import Packed, pack_layer
from paas.image.store import ImageStore
from paas.image.tarring import end, header, padding
from paas.model import Image, Layer

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_REFERENCE = "org.opencontainers.image.ref.name"
_CHUNK = 1 << 20
_SPOOL = "/var/tmp"
"""Where a layer lies until its digest is known. /tmp may be memory."""


def write_layout(store: ImageStore, image: Image, directory: Path, references: Sequence[str] = ()) -> str:
    """Write the image to an empty directory, under these names; returns its manifest's digest. Raises SystemFailure."""
    try:
        return _write(store, [(image, references)], _Directory(directory))[0]
    except OSError as error:
        raise SystemFailure(f"The image cannot be written to {directory}: {error.strerror}") from error


def write_archive(store: ImageStore, image: Image, stream: IO[bytes], references: Sequence[str] = ()) -> str:
    """Write the image as a tar; returns its manifest's digest. Raises SystemFailure, BrokenPipeError.

    Needs room on disk for the largest layer, compressed.
    """
    return write_archives(store, [(image, references)], stream)[0]


def write_archives(store: ImageStore, parts: Sequence[tuple[Image, Sequence[str]]], stream: IO[bytes]) -> list[str]:
    """The same for several images, each with its names."""
    archive = _Archive(stream)
    try:
        digests = _write(store, parts, archive)
        stream.write(end())
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SystemFailure(f"The image cannot be written: {error.strerror}") from error
    return digests


class _Target(Protocol):
    """What an image is written to: files with relative names."""

    def put(self, name: str, data: bytes) -> None: ...

    def pour(self, fill: Callable[[IO[bytes]], str]) -> None:
        """A file that `fill` writes, and then says the name of."""


class _Directory:
    def __init__(self, root: Path) -> None:
        self._root = root
        (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)

    def put(self, name: str, data: bytes) -> None:
        (self._root / name).write_bytes(data)

    def pour(self, fill: Callable[[IO[bytes]], str]) -> None:
        temporary = self._root / ".layer"
        try:
            with temporary.open("wb") as file:
                name = fill(file)
            temporary.rename(self._root / name)
        finally:
            temporary.unlink(missing_ok=True)


class _Archive:
    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._names: set[str] = set()

    def put(self, name: str, data: bytes) -> None:
        if self._is_new(name):
            self._stream.write(header(name, len(data)) + data + padding(len(data)))

    def pour(self, fill: Callable[[IO[bytes]], str]) -> None:
        with tempfile.TemporaryFile(dir=_SPOOL) as file:
            name = fill(file)
            size = file.tell()
            if self._is_new(name):
                file.seek(0)
                self._stream.write(header(name, size))
                shutil.copyfileobj(file, self._stream, _CHUNK)
                self._stream.write(padding(size))

    def _is_new(self, name: str) -> bool:
        """Two layers may have the same content; a name twice would confuse readers."""
        new = name not in self._names
        self._names.add(name)
        return new


@dataclass(frozen=True, slots=True)
class _Blob:
    """An OCI content descriptor (descriptor.md); `size` in bytes. `diff_id` is a layer's digest without gzip."""

    media_type: str
    digest: str
    size: int
    diff_id: str = ""

    @property
    def path(self) -> str:
        return _path(self.digest)

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def _write(store: ImageStore, parts: Sequence[tuple[Image, Sequence[str]]], target: _Target) -> list[str]:
    blobs: dict[int, _Blob] = {}
    manifests: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    digests = []
    for image, references in parts:
        for layer in image.layers:
            if layer.number not in blobs:
                blobs[layer.number] = _put_layer(store, layer, target)
        layers = [blobs[layer.number] for layer in image.layers]
        config = _put_json(target, _CONFIG, config_json(image, [layer.diff_id for layer in layers]))
        content = {"config": config.descriptor, "layers": [layer.descriptor for layer in layers]}
        manifest = _put_json(target, _MANIFEST, {"schemaVersion": 2, "mediaType": _MANIFEST, **content})
        named = [{**manifest.descriptor, "annotations": {_REFERENCE: name}} for name in references]
        manifests += named or [manifest.descriptor]
        paths = [layer.path for layer in layers]
        listed.append({"Config": config.path, "RepoTags": list(references), "Layers": paths})
        digests.append(manifest.digest)
    target.put("index.json", _json({"schemaVersion": 2, "manifests": manifests}))
    target.put("oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    if isinstance(target, _Archive):
        target.put("manifest.json", _json(listed))
    return digests


def config_json(image: Image, diff_ids: Sequence[str]) -> dict[str, Any]:
    """The OCI image config (config.md), with Docker's Healthcheck, Shell and OnBuild.

    A history that does not fit the layers is left out: readers refuse it, and it is optional.
    """
    fields: dict[str, Any] = {
        "created": image.created,
        "author": image.config.author,
        "architecture": image.architecture,
        "os": "linux",
        "config": to_oci(image.config),
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
    }
    if sum(not entry.empty_layer for entry in image.history) == len(image.layers):
        past = [asdict(entry) for entry in image.history]
        fields["history"] = [{key: value for key, value in entry.items() if value} for entry in past]
    return {key: value for key, value in fields.items() if value != ""}


def _put_layer(store: ImageStore, layer: Layer, target: _Target) -> _Blob:
    packed: list[Packed] = []

    def fill(file: IO[bytes]) -> str:
        packed.append(pack_layer(store, layer, file))
        return _path(packed[0].digest)

    target.pour(fill)
    return _Blob(_LAYER, packed[0].digest, packed[0].size, packed[0].diff_id)


def _put_json(target: _Target, media_type: str, value: object) -> _Blob:
    data = _json(value)
    blob = _Blob(media_type, _digest(hashlib.sha256(data)), len(data))
    target.put(blob.path, data)
    return blob


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _digest(hashed: Any) -> str:
    return f"sha256:{hashed.hexdigest()}"


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
