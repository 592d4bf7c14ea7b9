"""Who writes to the disk: containers, of apps or not, their writable layers, and the storage they have mounted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from paas.apps.disk_limits import ONE_OFF, DiskLimits
from paas.containers.supervise import Containers
from paas.deploy.detached import Detached
from paas.deploy.disk_growth import Amount
from paas.deploy.oneoff import OneOff
from paas.errors import NotFound
from paas.model import PLATFORM
from paas.paths import Paths
from paas.runtime.runtime import Runtime
from paas.schedulers.supervise import Supervisor
from paas.state import apps, containers, events, oneoffs, releases
from paas.state.apps import App
from paas.state.database import Database

_STORAGE = "storage:"
_READ_ONLY = ":ro"


@dataclass(frozen=True, slots=True)
class Writer:
    """A container that runs. Without an app it is one that an admin has made of an image."""

    id: str
    app: App | None
    name: str
    process: str = ONE_OFF
    is_instance: bool = False

    def __str__(self) -> str:
        return f"{self.name} of {self.app.name}" if self.app else f"container {self.name}"


@dataclass(frozen=True, slots=True)
class Place:
    """A directory that is measured: the writable layer of a `writer`, with its limit (0 for none); else storage."""

    key: str
    path: Path
    writer: Writer | None = None
    limit: Amount | None = None


Bounded = tuple[App, Collection[str], int]
"""An app with a limit of its storage, the keys of that, and the limit in bytes."""


class Writers:
    def __init__(
        self,
        db: Database,
        paths: Paths,
        runtime: Runtime,
        limits: DiskLimits,
        supervisor: Supervisor,
        oneoff: OneOff,
        detached: Detached,
        own: Containers,
    ) -> None:
        """`own` are containers without an app."""
        self._db = db
        self._paths = paths
        self._runtime = runtime
        self._limits = limits
        self._supervisor = supervisor
        self._oneoff = oneoff
        self._detached = detached
        self._own = own

    def running(self) -> list[Writer]:
        known = {app.id: app for app in apps.listing(self._db)}
        found = [
            Writer(row.instance.id, known.get(row.app_id), row.instance.name, row.instance.process, is_instance=True)
            for row in releases.instances(self._db)
        ]
        found += [Writer(row.id, known.get(row.app), row.name) for row in oneoffs.listing(self._db)]
        found += [Writer(id, app, name) for id, (app, name) in list(self._oneoff.running.items())]
        found += [Writer(row.id, None, row.name) for row in containers.listing(self._db)]
        return [writer for writer in found if self._runtime.pid(writer.id) is not None]

    def places(self) -> list[Place]:
        """Of all containers that run, and all storage that paas keeps."""
        found = []
        for writer in self.running():
            limit = None
            if writer.app is not None:
                limits = self._limits.of(writer.app, writer.process)
                limit = Amount(limits.bytes or 0, limits.inodes or 0)
            found.append(Place(writer.id, self._runtime.data(writer.id), writer, limit))
        return [*found, *(Place(f"{_STORAGE}{path.name}", path) for path in self._kept())]

    def storage(self) -> list[Bounded]:
        found: list[Bounded] = []
        for app in apps.listing(self._db):
            limit = self._limits.storage(app)
            mounts = [mount.source for mount in apps.mounts(self._db, app.id)] if limit is not None else []
            keys = {f"{_STORAGE}{source.name}" for source in mounts if source.parent == self._paths.storage}
            if limit is not None and keys:
                found.append((app, keys, limit))
        return found

    def of_storage(self, keys: Iterable[str]) -> list[Writer]:
        """Who has mounted one of these directories and may write there."""
        tops = {self._paths.storage / key.removeprefix(_STORAGE) for key in keys}
        return [writer for writer in self.running() if not tops.isdisjoint(self._mounted(writer))]

    def end(self, writer: Writer, why: str, *, again: bool) -> None:
        """Kill a container, with a word to whom it concerns. An instance is started `again`, or else stays down; what
        it had in its writable layer is gone."""
        if writer.is_instance:
            self._supervisor.end_writer(writer.id, why, again=again)
            return
        if writer.app is None:
            events.record(self._db, PLATFORM, "", "limit", f"container {writer.name} {why}")
            self._runtime.note(writer.id, why)
            self._own.life.stop(writer.id)
            return
        events.record(self._db, PLATFORM, writer.app.name, "limit", f"{writer.name} {why}")
        if writer.id in self._oneoff.running:
            self._oneoff.end(writer.id, why)
        else:
            self._runtime.note(writer.id, why)
            self._runtime.stop(writer.id, grace=0)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _kept(self) -> list[Path]:
        if not self._paths.storage.is_dir():
            return []
        return [path for path in self._paths.storage.iterdir() if path.is_dir() and not path.is_symlink()]

    def _mounted(self, writer: Writer) -> set[Path]:
        """Directories of storage, by their tops."""
        try:
            words = self._runtime.spec(writer.id)["mounts"]
        except NotFound:
            return set()
        sources = [Path(text.partition(":")[0]) for text in words if not text.endswith(_READ_ONLY)]
        kept = self._paths.storage
        return {
            kept / source.relative_to(kept).parts[0]
            for source in sources
            if source != kept and source.is_relative_to(kept)
        }
