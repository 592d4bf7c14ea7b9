"""The spine: one frozen value per stage of a deploy, in the order in which a push becomes a route.

Push -> Source -> Image -> Release -> Instance -> Route (in paas.routes)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from paas.declared import Declared
from paas.names import AppName, Hostname, ProcessType


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks: the host's root, or the holder of an SSH key."""

    name: str
    admin: bool = False
    """May manage keys and the machine."""
    address: str = ""
    """Where from: an IP address, or empty for the host itself."""

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.address else self.name


PLATFORM = Who("paas", admin=True)
"""For the event log: what nobody has asked for."""

WEB = ProcessType("web")
"""The process type that nginx serves."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of processes whose image sets none."""


# -- Push ---------------------------------------------------------------------------------------------------------


NULL_COMMIT = "0" * 40


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One line of git's pre-receive hook: object ids are 40 (sha1) hex digits, NULL_COMMIT for none."""

    old: str
    new: str
    ref: str


@dataclass(frozen=True, slots=True)
class Push:
    """What git received and has not accepted yet. The new objects lie in a quarantine directory."""

    app: AppName
    who: Who
    updates: tuple[RefUpdate, ...]
    repo: Path
    quarantine: Path | None


# -- Source -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """A commit to build: `quarantine` is set while git has not accepted the push yet."""

    app: AppName
    repo: Path
    commit: str
    quarantine: Path | None = None


# -- Image --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the store. `id` is `sha256:HEX` and says what it is; `number` names its directory."""

    number: int
    id: str
    size: int


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Dockerfile's HEALTHCHECK: `test` is ("NONE",), ("CMD", ...) or ("CMD-SHELL", text); durations in seconds.

    0 stands for what was not given: whoever runs the check has defaults.
    """

    test: tuple[str, ...]
    interval: float = 0.0
    timeout: float = 0.0
    start_period: float = 0.0
    start_interval: float = 0.0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The OCI image config's fields that matter to a run; `None` means not set (inherited or Docker's default)."""

    env: Mapping[str, str] = field(default_factory=dict)
    cmd: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    user: str = ""
    workdir: str = ""
    exposed_ports: tuple[str, ...] = ()
    """As in the OCI config: '80/tcp', '53/udp'; in the order of the Dockerfile."""
    labels: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    onbuild: tuple[str, ...] = ()
    author: str = ""


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of an image's history, as in the OCI image config."""

    created: str
    created_by: str
    empty_layer: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image: `id` is `sha256:HEX` of its canonical description, `layers` bottom first, `created` RFC 3339."""

    id: str
    config: ImageConfig
    layers: tuple[Layer, ...]
    history: tuple[HistoryEntry, ...]
    created: str
    architecture: str

    @property
    def short_id(self) -> str:
        return self.id.removeprefix("sha256:")[:12]

    @property
    def size(self) -> int:
        return sum(layer.size for layer in self.layers)


# -- How a container is held --------------------------------------------------------------------------------------

Policy = Literal["no", "on-failure", "always", "unless-stopped"]


@dataclass(frozen=True, slots=True)
class Restart:
    """`most` restarts after a failure, 0 for as many as it takes."""

    policy: Policy = "no"
    most: int = 0

    def wanted(self, exit_code: int | None, restarts: int, *, stopped: bool) -> bool:
        """Whether a container that ended so, after so many restarts, is started again; `stopped`: somebody ended it."""
        if stopped:
            return False
        match self.policy:
            case "always" | "unless-stopped":
                return True
            case "on-failure":
                return exit_code != 0 and (self.most == 0 or restarts < self.most)
            case _:
                return False

    def __str__(self) -> str:
        return f"{self.policy}:{self.most}" if self.most else self.policy


# -- Release ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Process:
    """A process type of a release and how many instances of it run. No command: the image's own."""

    type: ProcessType
    count: int
    command: tuple[str, ...] | None = None


WebScheme = Literal["http", "https", "grpc", "grpcs"]
Scheme = Literal["http", "https", "grpc", "grpcs", "tcp", "udp"]
WEB_SCHEMES: tuple[WebScheme, ...] = ("http", "https", "grpc", "grpcs")
TLS_SCHEMES: tuple[WebScheme, ...] = ("https", "grpcs")


@dataclass(frozen=True, slots=True)
class PortMap:
    """`scheme:host:container`. WEB_SCHEMES are served by nginx; tcp and udp go straight to the container."""

    scheme: Scheme
    host: int
    container: int
    address: str = ""
    """The host's address that it holds on, in IPv4's usual form; empty for all of them. Only for tcp and udp."""

    @property
    def is_web(self) -> bool:
        """Whether nginx serves it, by hostname."""
        return self.scheme in WEB_SCHEMES

    def __str__(self) -> str:
        return f"{self.scheme}:{self.host}:{self.container}"


PHASES = ("deploy", "run")
"""Instances of process types, one-off containers."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A host directory in the containers of an app."""

    source: Path
    target: str
    read_only: bool = False
    processes: tuple[str, ...] = ()
    """The process types that have it; none named: all."""
    phases: tuple[str, ...] = PHASES
    entry: str = ""
    """The storage entry it was mounted by, if by one."""
    subpath: str = ""
    """Below the source, whose content is the containers' own: never followed out of it."""

    def holds(self, process: ProcessType | None) -> bool:
        """Whether instances of a process type have it; None: one-off containers."""
        if process is None:
            return "run" in self.phases
        return "deploy" in self.phases and (not self.processes or process in self.processes)

    def __str__(self) -> str:
        below = f"/{self.subpath}" if self.subpath else ""
        return f"{self.source}{below}:{self.target}" + (":ro" if self.read_only else "")


@dataclass(frozen=True, slots=True)
class AppSettings:
    """What is set on an app itself, as far as it is part of a release: what a rollback brings back."""

    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    ports: tuple[PortMap, ...] = ()
    """None: http to the port that the image exposes."""
    mounts: tuple[Mount, ...] = ()
    scale: Mapping[ProcessType, int] = field(default_factory=dict)
    domains: tuple[Hostname, ...] | None = None
    """None: its name below the global domains."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Those that are part of releases: NOUN:KEY -> what was set."""


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable, numbered record of what runs. Rollback is a new release made from an old one."""

    app: AppName
    number: int
    image_id: str
    config: Mapping[str, str] = field(repr=False)
    """Config vars, global ones merged in."""
    processes: tuple[Process, ...]
    ports: tuple[PortMap, ...]
    mounts: tuple[Mount, ...]
    commit: str
    created: str
    who: str
    why: str
    made_with: Mapping[str, str] = field(default_factory=dict)
    """Properties that containers are made with, NOUN:KEY or NOUN:KEY@PROCESS -> text; instances made with others are
    replaced."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Properties that hold for instances whenever they were made."""
    settings: AppSettings = field(default_factory=AppSettings)
    declared: Declared = field(default_factory=Declared)

    def made_for(self, process: ProcessType) -> dict[str, str]:
        """Of `made_with`, what concerns the instances of one process type."""
        return {row: text for row, text in self.made_with.items() if row.partition("@")[2] in ("", process)}

    def property(self, row: str) -> str | None:
        """The text of NOUN:KEY, where it is set for the app or for all."""
        return self.made_with.get(row, self.properties.get(row))


REVISION_ROW, REVISION_KEY, NO_REVISION = "git:rev-env-var", "GIT_REV", "none"


def revision(made_with: Mapping[str, str], commit: str) -> dict[str, str]:
    """The variable that names the commit to an app, from the properties of a release; none where it is to have none."""
    key = made_with.get(REVISION_ROW) or REVISION_KEY
    return {} if key == NO_REVISION or not commit else {key: commit}


# -- Instance -----------------------------------------------------------------------------------------------------


class InstanceState(StrEnum):
    STARTING = "starting"
    """Made, not yet healthy; no traffic."""
    RUNNING = "running"
    """Healthy; gets new connections."""
    CRASHED = "crashed"
    """Ended by itself; waits for its restart."""
    ENDED = "ended"
    """Ended by itself, or with the machine, and stays so: its restart policy, or `restore`, says it."""
    DRAINING = "draining"
    """Replaced; finishes its connections, then is stopped."""

    @property
    def up(self) -> bool:
        """Whether there is a process."""
        return self not in (InstanceState.CRASHED, InstanceState.ENDED)


@dataclass(frozen=True, slots=True)
class Instance:
    """One container of a process type of a release: `web.1`."""

    id: str
    """The container's id: 64 hex digits."""
    app: AppName
    release: int
    process: ProcessType
    index: int
    """From 1."""
    address: IPv4Address
    port: int | None
    """The port a web process listens on."""
    state: InstanceState

    @property
    def name(self) -> str:
        return f"{self.process}.{self.index}"
