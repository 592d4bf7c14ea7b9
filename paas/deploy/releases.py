"""What an app is to run, and the release made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.apps import ports, processes
from paas.apps.environment import Environment
from paas.apps.ports import Ports
from paas.apps.processes import Processes
from paas.apps.storage import Storage
from paas.model import Image, Mount, PortMap, Release, Who
from paas.names import ProcessType
from paas.settings import Settings
from paas.state import releases
from paas.state.apps import App
from paas.state.database import Database, now


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is set on an app, before or after a change. `ports` are the app's own maps."""

    config: Mapping[str, str] = field(repr=False)
    ports: tuple[PortMap, ...]
    mounts: tuple[Mount, ...]
    scale: Mapping[ProcessType, int]
    procfile: Mapping[ProcessType, tuple[str, ...] | None]
    commit: str


class ReleaseMaker:
    def __init__(
        self,
        settings: Settings,
        db: Database,
        environment: Environment,
        port_maps: Ports,
        counts: Processes,
        storage: Storage,
    ) -> None:
        self._settings = settings
        self._db = db
        self._environment = environment
        self._ports = port_maps
        self._processes = counts
        self._storage = storage

    def wanted(self, app: App) -> Wanted:
        """What is set on the app now; commit and processes as its current release has them."""
        release = releases.current(self._db, app)
        return Wanted(
            config=self._environment.merged(app),
            ports=tuple(self._ports.own(app)),
            mounts=tuple(self._storage.of(app)),
            scale=self._processes.scale(app),
            procfile={p.type: p.command for p in release.processes} if release else {},
            commit=release.commit if release else "",
        )

    def make(self, app: App, wanted: Wanted, image: Image, who: Who, why: str) -> Release:
        """The next release of an app; recorded, not serving. The caller removes it when it does not come to serve."""
        release = Release(
            app=app.name,
            number=releases.next_number(self._db, app),
            image_id=image.id,
            config=dict(wanted.config),
            processes=processes.of_release(wanted.scale, wanted.procfile),
            ports=tuple(ports.effective(wanted.ports, image.config, self._settings.http_port)),
            mounts=wanted.mounts,
            commit=wanted.commit,
            created=now(),
            who=str(who),
            why=why,
        )
        releases.insert(self._db, app, release)
        return release

    def forget(self, app: App, release: Release) -> None:
        """Undo `make`; a release that serves already stays, whatever went wrong after that."""
        releases.delete_unused(self._db, app, release.number)
