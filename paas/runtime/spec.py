"""What a container is to be; the runtime's only input. Pure data."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from paas.model import Mount

Net = Literal["own", "none"]


def new_id() -> str:
    """An id for a container: 64 hex digits."""
    return secrets.token_hex(32)


@dataclass(frozen=True, slots=True)
class LayersMount:
    """A file or directory `source` of some layers (bottom first). What is written to a writable one is thrown away."""

    target: str
    layers: tuple[int, ...]
    source: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class MemoryMount:
    """A tmpfs of at most `size` bytes, None for the kernel's default."""

    target: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file that is in memory only."""

    target: str
    data: bytes = field(repr=False)
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Rlimit:
    """A limit of setrlimit(2): `type` is RLIMIT_NOFILE and the like."""

    type: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a container may have of the machine; None: as much as there is."""

    memory: int | None = None
    """In bytes, as are the next two."""
    memory_swap: int | None = None
    """Memory and swap together; -1 for any amount."""
    memory_reservation: int | None = None
    """What it keeps when the machine runs short."""
    cpus: float | None = None
    """May be a fraction."""
    cpu_shares: int | None = None
    """Its part of the processors against others', of 1024."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`layers` are numbers of the image store, bottom first."""

    id: str
    layers: tuple[int, ...]
    args: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str = "/"
    user: str = ""
    """As in USER: a name or id of the image, optionally with a group."""
    hostname: str = "container"
    terminal: bool = False
    stdin: bool = False
    """What those type who attach goes to the process; without it, and without a terminal, its input is empty."""
    log_limit: int = 10 << 20
    """Bytes of its log that are kept."""
    keep_stdin: bool = False
    """The input stays open when whoever was attached leaves."""
    init: bool = False
    """Run under catatonit, which reaps orphans and passes signals on."""
    read_only: bool = False
    volatile: bool = False
    """Nobody needs what it has written after a crash of the machine: it is not brought to disk."""
    no_new_privileges: bool = True
    capabilities: tuple[str, ...] | None = None
    """Fewer than all that containers may have; None for these."""
    mounts: tuple[Mount, ...] = ()
    allowance: Allowance = Allowance()
    pids: int | None = None
    ulimits: tuple[Rlimit, ...] = ()
    shm_size: int = 64 << 20
    hosts: tuple[tuple[str, str], ...] = ()
    """More lines of /etc/hosts: name, address."""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = "SIGTERM"
    resolv_conf: str = ""
    network: Net = "own"
    """`none`: a network namespace with nothing but its loopback."""
    layers_mounts: tuple[LayersMount, ...] = ()
    memory_mounts: tuple[MemoryMount, ...] = ()
    secret_files: tuple[SecretFile, ...] = field(default=(), repr=False)
    host_files: Mapping[str, Path] = field(default_factory=dict)
    """Files and sockets of the host, read-only: path in the container -> path on the host."""
