"""What a command gets: who asks, where output goes, and the parts of the engine."""

from __future__ import annotations

import contextlib
import os
import termios
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from paas.apps.access import Access, Grants
from paas.apps.build_settings import BuildSettings
from paas.apps.container_settings import ContainerOptions
from paas.apps.disk_limits import DiskLimits
from paas.apps.domains import Domains
from paas.apps.environment import Environment
from paas.apps.keys import Keys
from paas.apps.lifecycle import Apps
from paas.apps.ports import Ports
from paas.apps.processes import Processes
from paas.apps.properties import Properties
from paas.apps.storage import Storage
from paas.build.steps.caches import CacheMounts
from paas.containers.files import Files
from paas.containers.supervise import Containers
from paas.deploy.builds import Builds
from paas.deploy.changes import Changes
from paas.deploy.cloning import Cloning
from paas.deploy.cron import Cron
from paas.deploy.detached import Detached
from paas.deploy.edge import Edge
from paas.deploy.editing import Editor
from paas.deploy.held import Request
from paas.deploy.importing import DokkuImport
from paas.deploy.oneoff import OneOff
from paas.deploy.packing import Packing
from paas.deploy.pipeline import Pipeline
from paas.deploy.remotepacks import RemotePacks
from paas.deploy.repositories import Repositories
from paas.deploy.rollbacks import Rollbacks
from paas.deploy.routing import Routing
from paas.deploy.sources import Sources
from paas.errors import PaasError, UsageError
from paas.image.store import ImageStore
from paas.integrity.check import Integrity
from paas.model import Who
from paas.names import AppName
from paas.output import Hangup, StreamOutput
from paas.paths import Paths
from paas.proxy.proxy import Proxy
from paas.registry.archives import ImageFiles
from paas.registry.registries import Registries
from paas.runtime.keptlogs import KeptLogs
from paas.runtime.runtime import Runtime
from paas.schedulers.checks import Checks
from paas.schedulers.linked import Linked
from paas.settings import Settings
from paas.source.accounts import Accounts
from paas.state.apps import App
from paas.state.backups import Backups
from paas.state.database import Database
from paas.system.processes import readable


@dataclass(frozen=True, slots=True)
class Platform:
    """The parts of the engine that commands may use."""

    settings: Settings
    db: Database
    apps: Apps
    environment: Environment
    domains: Domains
    ports: Ports
    processes: Processes
    storage: Storage
    keys: Keys
    access: Access
    images: ImageStore
    registries: Registries
    image_files: ImageFiles
    changes: Changes
    cloning: Cloning
    edge: Edge
    rollbacks: Rollbacks
    packing: Packing
    remote_packs: RemotePacks
    repositories: Repositories
    pipeline: Pipeline
    sources: Sources
    accounts: Accounts
    routing: Routing
    oneoff: OneOff
    detached: Detached
    dokku_import: DokkuImport
    editor: Editor
    runtime: Runtime
    kept_logs: KeptLogs
    cron: Cron
    checks: Checks
    containers: Containers
    container_files: Files
    proxy: Proxy
    properties: Properties
    build_settings: BuildSettings
    container_options: ContainerOptions
    disk_limits: DiskLimits
    linked: Linked
    builds: Builds
    caches: CacheMounts
    paths: Paths
    integrity: Integrity
    backups: Backups


class Terminal(Protocol):
    """The caller's end: lets a process in a container take over the caller's terminal."""

    def attach(self, kind: str, descriptor: int) -> None:
        """From now on the caller's terminal talks to this descriptor, in raw mode."""

    @property
    def signal(self) -> str:
        """The signal the caller has passed on, such as INT; '' when it has hung up without one."""

    def on_resize(self, callback: Callable[[int, int], None]) -> None:
        """`callback(rows, columns)` at each change of the window's size."""


@dataclass(slots=True)
class Context:
    """One run of a command."""

    platform: Platform
    who: Who
    grants: Grants
    """What the caller may do. Commands need not look: the router has, and `platform.apps` shows no others."""
    out: StreamOutput
    stdin: int
    stdout: int
    stderr: int
    tty: bool
    size: tuple[int, int]
    """Rows, columns of the caller's terminal."""
    term: str
    terminal: Terminal
    hung_up: threading.Event
    directory: int | None = None
    """Where the command was typed, a descriptor; None unless that was by root on the host."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables there that the command's flags name."""
    force: bool = False

    def app(self, name: str) -> App:
        """Raises AppNotFound, with near matches."""
        return self.platform.apps.get(name)

    def allows_creation(self, name: AppName) -> None:
        """Raises Denied, AppNotFound when the caller may make no apps."""
        if not self.grants.may_create:
            raise self.grants.no_creation(name)

    def request(self) -> Request:
        """The caller, as those who change an app know them."""
        return Request(self.who, self.out, self.hung_up.is_set)

    def confirm(self, name: str, consequence: str, force: bool) -> None:
        """Ask for a name to be typed before something is destroyed. Raises PaasError when it is not."""
        if force or self.force:
            return
        self.out.warn(f"WARNING: {consequence}")
        self.out.warn(f"To go on, type {name!r}")
        self.out.raw(b"> ")
        typed = self.read_line()
        if typed != name:
            raise PaasError(f"{name} was not typed; nothing was changed", hint="--force skips the question.")

    def read_line(self) -> str:
        """One line of the caller's input, without its end. Raises UsageError at 4096 bytes, Hangup without a caller."""
        data = b""
        while not data.endswith(b"\n"):
            while not readable(self.stdin, 0.2):
                if self.hung_up.is_set():  # else what the next program there is typed would be ours
                    raise Hangup
            piece = self._read(1)
            if not piece:
                break
            data += piece
            if len(data) > 4096:
                raise UsageError("The line is too long")
        return data.decode("utf-8", "replace").strip()

    def read_secret(self, prompt: str) -> str:
        """A line typed at the caller's terminal, which does not show it. Only where `tty` says that there is one."""
        try:
            before = termios.tcgetattr(self.stdin)
            silent = [*before[:3], before[3] & ~termios.ECHO | termios.ECHONL, *before[4:]]
            termios.tcsetattr(self.stdin, termios.TCSAFLUSH, silent)
        except termios.error:  # the terminal is gone
            raise Hangup from None
        try:
            self.out.raw(prompt.encode())  # not before: who answers at once must not be shown what they type
            return self.read_line()
        finally:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.stdin, termios.TCSANOW, before)

    def read_all(self, limit: int) -> str:
        """All of the caller's input. Raises UsageError beyond `limit` bytes."""
        return self.read_bytes(limit).decode("utf-8", "replace")

    def read_bytes(self, limit: int) -> bytes:
        """All of the caller's input. Raises UsageError beyond `limit` bytes."""
        data = bytearray()
        while piece := self._read(65536):
            data += piece
            if len(data) > limit:
                raise UsageError(f"The input is longer than {limit} bytes")
        return bytes(data)

    def _read(self, most: int) -> bytes:
        try:
            return os.read(self.stdin, most)
        except OSError:  # a terminal that is gone
            raise Hangup from None
