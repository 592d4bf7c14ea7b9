"""What a container is to be; the runtime's only input. Pure data."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.model import Mount


def new_id() -> str:
    """An id for a container: 64 hex digits."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`layers` are numbers of the image store, bottom first; `memory` in bytes; `cpus` may be a fraction."""

    id: str
    layers: tuple[int, ...]
    args: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str = "/"
    user: str = ""
    """As in USER: a name or id of the image, optionally with a group."""
    hostname: str = "container"
    terminal: bool = False
    init: bool = False
    """Run under catatonit, which reaps orphans and passes signals on."""
    read_only: bool = False
    no_new_privileges: bool = True
    mounts: tuple[Mount, ...] = ()
    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    stop_signal: str = "SIGTERM"
    resolv_conf: str = ""
