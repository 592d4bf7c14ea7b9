"""Manifests and indexes: OCI image-spec (manifest.md, image-index.md) and Docker's "Image Manifest V 2, Schema 2"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paas.errors import InvalidInput, NotFound
from paas.image.foreign import CONFIG_LIMIT, json_object
from paas.names import shown
from paas.system.mounts import architecture

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
ACCEPTED = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST))
MANIFEST_LIMIT = 4 << 20
"""Bytes; what registries have to accept at least."""
_MOST_LAYERS = 500
_LARGEST = 1 << 40
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A content descriptor (descriptor.md); `size` in bytes."""

    media_type: str
    digest: str
    size: int

    @property
    def short(self) -> str:
        """As progress lines name it."""
        return self.digest.removeprefix("sha256:")[:12]

    def to_json(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image, layers bottom first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


def parse(data: bytes, media_type: str) -> Manifest | tuple[Descriptor, ...]:
    """A manifest, or of an index those for this machine, the best first. Raises InvalidInput, NotFound."""
    value = json_object(data, "manifest")
    stated = value.get("mediaType")
    kind = stated if isinstance(stated, str) and stated else media_type
    if value.get("schemaVersion") != 2:
        raise InvalidInput(
            "The image has a manifest of the old schema 1, which nobody can check",
            hint="Push it anew with newer tools.",
        )
    if "manifests" in value and "layers" not in value and kind not in (OCI_MANIFEST, DOCKER_MANIFEST):
        return _for_this_machine(value["manifests"])
    if "layers" not in value or "manifests" in value or kind in (OCI_INDEX, DOCKER_LIST):
        raise InvalidInput(f"The manifest is of a kind that is not known here: {shown(kind)}")
    layers = value["layers"]
    if not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
        raise InvalidInput(f"The manifest is damaged: layers is no list of at most {_MOST_LAYERS}")
    config = _descriptor(value.get("config"))
    if config.media_type not in (OCI_CONFIG, DOCKER_CONFIG):
        raise InvalidInput(f"This is no container image: its config is {shown(config.media_type)}")
    if config.size > CONFIG_LIMIT:
        raise InvalidInput(f"The image's config is larger than {CONFIG_LIMIT} bytes")
    found = tuple(_descriptor(layer) for layer in layers)
    encrypted = [layer for layer in found if layer.media_type.endswith("+encrypted")]
    if encrypted:
        raise InvalidInput("The image has encrypted layers, which cannot be read here")
    return Manifest(config, found)


def _for_this_machine(entries: object) -> tuple[Descriptor, ...]:
    if not isinstance(entries, list):
        raise InvalidInput("The index is damaged: manifests is no list")
    offered, found = [], []
    for entry in entries:
        platform = entry.get("platform") if isinstance(entry, dict) else None
        if platform is None:
            found.append((2, _descriptor(entry)))  # it does not say; its config will
            continue
        if not isinstance(platform, dict):
            raise InvalidInput("The index is damaged: a platform makes no sense")
        system, machine, variant = (str(platform.get(key) or "") for key in ("os", "architecture", "variant"))
        if system == "unknown":
            continue  # attestations
        offered.append("/".join(filter(None, (system, machine, variant))))
        if system == "linux" and machine == architecture():
            found.append((_rank(variant), _descriptor(entry)))
    usable = [descriptor for _, descriptor in sorted(found, key=lambda pair: pair[0])]
    if not usable:
        raise NotFound(
            f"The image is not made for linux/{architecture()}",
            hint=f"It is made for {shown(', '.join(offered), 200) or 'nothing'}.",
        )
    return tuple(usable)


def _rank(variant: str) -> int:
    """The plain variant of an architecture runs everywhere; others come after it."""
    return 0 if variant in ("", "v1", "v8") else 3


def _descriptor(value: object) -> Descriptor:
    fields: Mapping[str, Any] = value if isinstance(value, dict) else {}
    kind, digest, size = (fields.get(key) for key in ("mediaType", "digest", "size"))
    whole = isinstance(size, int) and not isinstance(size, bool)
    if not (isinstance(kind, str) and isinstance(digest, str) and _DIGEST.fullmatch(digest) and whole):
        raise InvalidInput("The manifest is damaged: a descriptor makes no sense")
    assert isinstance(size, int)
    if not 0 <= size <= _LARGEST:
        raise InvalidInput("The manifest is damaged: a size makes no sense")
    return Descriptor(kind, digest, size)


def total(descriptors: Sequence[Descriptor]) -> int:
    """Bytes, each content once."""
    return sum({descriptor.digest: descriptor.size for descriptor in descriptors}.values())
