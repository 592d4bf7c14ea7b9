"""Images from files: what `docker save` and OCI image layouts (image-layout.md) hold, and root file systems.

Nobody vouches for them: they are unpacked where nothing leads outside, and every digest in them is checked.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from paas.errors import InvalidInput
from paas.image.apply import apply_layer
from paas.image.decompress import compression, decompressed, peek
from paas.image.foreign import CONFIG_LIMIT, ForeignImage, parse_config
from paas.image.lease import Lease
from paas.image.reference import parse as parse_reference
from paas.image.store import ImageStore
from paas.image.unpack import Limits, unpack
from paas.model import HistoryEntry, Image, ImageConfig
from paas.names import shown
from paas.registry.client import digest_of
from paas.registry.manifests import MANIFEST_LIMIT, Descriptor, Manifest, parse
from paas.state.database import now
from paas.system.files import ensure_directory, remove_tree
from paas.system.inroot import open_in_root, read_in_root

_CONTAINERD_NAME, _OCI_NAME = "io.containerd.image.name", "org.opencontainers.image.ref.name"
_MOST_IMAGES = 100
_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class _Part:
    """An image in an archive: its names, its config, and where its layers lie."""

    names: tuple[str, ...]
    config: bytes
    layers: tuple[str, ...]


class ImageFiles:
    """`limit` is the largest content of an archive, in bytes; `scratch` where it lies meanwhile."""

    def __init__(self, store: ImageStore, scratch: Path, limit: int) -> None:
        self._store = store
        self._scratch = scratch
        self._limit = limit

    def load(self, stream: IO[bytes], cancelled: Callable[[], bool]) -> list[tuple[Image, tuple[str, ...]]]:
        """Take and tag all images of a tar (plain or compressed); returns each with its names.

        Raises InvalidInput, SystemFailure, Cancelled; then no tag has changed.
        """
        with self._unpacked(stream) as root, self._store.lease() as lease:
            done = []
            for part in _parts(root):
                done.append((self._image(root, part, lease, cancelled), part.names))
            for image, names in done:
                for name in names:
                    self._store.tag(name, image.id)
        return done

    def take_root(
        self, stream: IO[bytes], config: ImageConfig, name: str | None, comment: str, cancelled: Callable[[], bool]
    ) -> Image:
        """An image of one layer: a root file system's tar, in any compression. Raises as `load`."""
        try:
            head, whole = peek(stream)
        except OSError as error:
            raise InvalidInput(f"The archive is damaged: {error}") from None
        plain = decompressed(whole, compression(head))
        with self._store.lease() as lease:
            layer = apply_layer(self._store, plain, lease, limits=Limits(size=self._limit), cancelled=cancelled)
            self._store.settle()
            created = now()
            history = [HistoryEntry(created, "", comment=comment)]
            image = self._store.add_image(config, [layer], history, created, lease=lease)
            if name is not None:
                self._store.tag(name, image.id)
        return image

    @contextmanager
    def _unpacked(self, stream: IO[bytes]) -> Iterator[int]:
        place = ensure_directory(self._scratch, mode=0o711) / f"load-{secrets.token_hex(6)}"
        try:
            ensure_directory(place, mode=0o700)
            root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                head, whole = peek(stream)
                unpack(decompressed(whole, compression(head)), root, limits=Limits(size=self._limit))
                yield root
            finally:
                os.close(root)
        except OSError as error:
            raise InvalidInput(f"The archive is damaged: {error.strerror or error}") from None
        finally:
            remove_tree(place)

    def _image(self, root: int, part: _Part, lease: Lease, cancelled: Callable[[], bool]) -> Image:
        foreign: ForeignImage = parse_config(part.config)
        if len(foreign.diff_ids) != len(part.layers):
            raise InvalidInput("The image's config and the archive have different numbers of layers")
        layers, left = [], self._limit
        for path, diff_id in zip(part.layers, foreign.diff_ids, strict=True):
            layer = self._store.layer_by_diff_id(diff_id, lease)
            if layer is None:
                with os.fdopen(_open(root, path), "rb") as file:
                    limits = Limits(size=max(left, 0))
                    layer = apply_layer(self._store, file, lease, diff_id=diff_id, limits=limits, cancelled=cancelled)
            left -= layer.size
            layers.append(layer)
        self._store.settle()
        return self._store.add_image(
            foreign.config, layers, foreign.history, foreign.created, foreign.architecture, lease=lease
        )


def _parts(root: int) -> list[_Part]:
    listed = read_in_root(root, "manifest.json", MANIFEST_LIMIT)
    if listed is not None:
        return [_docker_part(root, entry) for entry in _entries(listed, "manifest.json")]
    index = read_in_root(root, "index.json", MANIFEST_LIMIT)
    if index is None:
        raise InvalidInput(
            "The archive has neither manifest.json nor index.json",
            hint="paas load takes what `docker save` writes, and OCI layouts; paas import takes a root file system.",
        )
    found: dict[str, list[str]] = {}
    for entry in _entries(index, "index.json", "manifests"):
        digest = entry.get("digest")
        annotations = entry.get("annotations") or {}
        name = annotations.get(_CONTAINERD_NAME) or annotations.get(_OCI_NAME) if isinstance(annotations, dict) else ""
        if not isinstance(digest, str):
            raise InvalidInput("index.json is damaged: a digest makes no sense")
        names = found.setdefault(digest, [])
        if isinstance(name, str) and (":" in name or "/" in name):  # else it is a tag alone
            names.append(str(parse_reference(name)))
    return [_oci_part(root, digest, names) for digest, names in found.items()]


def _entries(data: bytes, where: str, key: str | None = None) -> list[dict[str, Any]]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if key is not None:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InvalidInput(f"{where} is damaged")
    if not 0 < len(value) <= _MOST_IMAGES:
        raise InvalidInput(f"{where} has {len(value)} images; between 1 and {_MOST_IMAGES} can be loaded")
    return value


def _docker_part(root: int, entry: dict[str, Any]) -> _Part:
    config, names, layers = entry.get("Config"), entry.get("RepoTags") or [], entry.get("Layers") or []
    texts = [config, *(names if isinstance(names, list) else [None]), *(layers if isinstance(layers, list) else [None])]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidInput("manifest.json is damaged")
    return _Part(tuple(str(parse_reference(name)) for name in names), _read(root, str(config)), tuple(layers))


def _oci_part(root: int, digest: str, names: list[str]) -> _Part:
    """What the index says of a manifest's media type and size is not needed: its content says it all."""
    for _ in range(_DEEPEST):
        data = _checked(root, digest, MANIFEST_LIMIT)
        found = parse(data, "")
        if isinstance(found, Manifest):
            layers = tuple(_blob(layer.digest) for layer in found.layers)
            return _Part(tuple(names), _checked(root, found.config.digest, CONFIG_LIMIT), layers)
        best: Descriptor = found[0]
        digest = best.digest
    raise InvalidInput("The archive's indexes name each other")


def _checked(root: int, digest: str, limit: int) -> bytes:
    data = _read(root, _blob(digest), limit)
    if digest_of(data) != digest:
        raise InvalidInput(f"The archive is damaged: {shown(digest, 80)} is something else")
    return data


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _read(root: int, path: str, limit: int = CONFIG_LIMIT) -> bytes:
    data = read_in_root(root, path, limit + 1)
    if data is None or len(data) > limit:
        raise InvalidInput(f"The archive has no usable {shown(path, 100)}")
    return data


def _open(root: int, path: str) -> int:
    try:
        return open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        raise InvalidInput(f"The archive has no {shown(path, 100)}") from None
