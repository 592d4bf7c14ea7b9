"""What a build is asked for. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
"""Build arguments that every RUN has without declaring them, in both cases, and no image keeps."""


@dataclass(frozen=True, slots=True)
class BuildLimits:
    """Of one build; `memory` and `disk` in bytes, `timeout` in seconds, `cpus` may be a fraction (0: all there are)."""

    memory: int = 1 << 30
    cpus: float = 0.0
    pids: int = 2048
    timeout: int = 1800
    disk: int = 10 << 30


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """`arguments` are build arguments; `secrets` and `agents` go by their id in `--mount=type=secret` and `ssh`."""

    dockerfile: str = "Dockerfile"
    """Its path in what is built from."""
    text: bytes | None = field(default=None, repr=False)
    """The Dockerfile itself, where it lies outside."""
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    agents: Mapping[str, Path] = field(default_factory=dict)
    """Sockets of SSH agents on the host."""
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    use_cache: bool = True
    pull: bool = False
    """Whether base images that came from registries are looked for there again."""
    scope: str = "host"
    """Whose cache mounts are used: `appID.CREATED`, or `host` for `paas build`."""
    is_plain: bool = False
    """Whether the limits and proxies are the machine's: such builds come to the same for everybody."""
    images: frozenset[str] = frozenset()
    """Ids of the images that an app's Dockerfile may name by id."""

    @property
    def is_trusted(self) -> bool:
        """Whether an administrator asks; a push may come from anybody who has a key."""
        return self.scope == "host"

    trust_host_ca: bool = False
    limits: BuildLimits = BuildLimits()
    labels: Mapping[str, str] = field(default_factory=dict)
