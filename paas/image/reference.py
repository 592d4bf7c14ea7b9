"""Image references: `[registry/]name[:tag][@digest]`, after the distribution project's reference grammar."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.errors import InvalidInput
from paas.names import shown

_PART = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REGISTRY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class ImageReference:
    """`registry` is docker.io where none was given; `name` has no `library/` there."""

    registry: str
    name: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        """The familiar form: `debian:bookworm`, `registry.example.com/team/app:1`."""
        prefix = "" if self.registry == DOCKER_HUB else f"{self.registry}/"
        return f"{prefix}{self.name}" + (f"@{self.digest}" if self.digest else f":{self.tag}")


def parse(text: str) -> ImageReference:
    """Raises InvalidInput for what is no reference."""
    rest, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise _refused(text, "the digest must be sha256: and 64 hex digits")
    first, slash, others = rest.partition("/")
    registry = DOCKER_HUB
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, rest = first, others
        if not _REGISTRY.fullmatch(registry):
            raise _refused(text, f"{shown(registry)} is not a registry")
    name, colon, tag = rest.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise _refused(text, "a tag is up to 128 letters, digits, '_', '.' and '-'")
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DOCKER_HUB
    if registry == DOCKER_HUB:
        name = name.removeprefix("library/")
    if len(name) > 255 or not name or not all(_PART.fullmatch(part) for part in name.split("/")):
        raise _refused(text, "a name is lower-case letters and digits, joined by '.', '_', '-' and '/'")
    return ImageReference(registry, name, tag or "latest", digest)


def _refused(text: str, why: str) -> InvalidInput:
    return InvalidInput(f"{shown(text)} is not an image reference: {why}", hint="Example: debian:bookworm")
