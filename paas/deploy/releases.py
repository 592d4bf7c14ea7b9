"""What an app is to run, and the release made from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from paas.apps import ports, processes
from paas.apps.domains import Domains
from paas.apps.environment import RESERVED, Environment
from paas.apps.ports import Ports
from paas.apps.processes import Processes
from paas.apps.properties import Properties, Property
from paas.apps.storage import Storage
from paas.declared import Declared
from paas.errors import InvalidInput
from paas.faults import reached
from paas.model import NO_REVISION, REVISION_KEY, REVISION_ROW, AppSettings, Image, Release, Who, revision
from paas.names import EnvKey, ProcessType
from paas.settings import Settings
from paas.state import apps, releases
from paas.state.apps import App
from paas.state.database import Database, now


def _revision_key(text: str) -> str:
    """A variable's name; '' for `none`. Raises InvalidInput."""
    if text == NO_REVISION:
        return ""
    if EnvKey(text) in RESERVED:
        raise InvalidInput(f"{text} is set by paas itself")
    return text


REVISION = Property(
    "git",
    REVISION_ROW.partition(":")[2],
    'the variable that has the deployed commit in the app\'s environment; "" or none for no such variable',
    _revision_key,
    REVISION_KEY,
    released="made",
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is set on an app, before or after a change, and what came with its commit."""

    settings: AppSettings
    procfile: Mapping[ProcessType, tuple[str, ...] | None]
    commit: str
    declared: Declared = field(default_factory=Declared)

    def but(self, **changes: Any) -> Wanted:
        """With other settings."""
        return replace(self, settings=replace(self.settings, **changes))


class _Tried(Exception):
    """Rolls a transaction back."""


class ReleaseMaker:
    def __init__(
        self,
        settings: Settings,
        db: Database,
        environment: Environment,
        domains: Domains,
        port_maps: Ports,
        counts: Processes,
        storage: Storage,
        properties: Properties,
    ) -> None:
        self._settings = settings
        self._db = db
        self._environment = environment
        self._domains = domains
        self._ports = port_maps
        self._processes = counts
        self._storage = storage
        self._properties = properties

    def wanted(self, app: App) -> Wanted:
        """What is set on the app now; commit and processes as its current release has them."""
        release = releases.current(self._db, app)
        settings = AppSettings(
            config=self._environment.own(app),
            ports=tuple(self._ports.own(app)),
            mounts=tuple(self._storage.of(app)),
            scale=self._processes.scale(app),
            domains=tuple(apps.own_domains(self._db, app.id)) if app.own_domains else None,
            properties=self._properties.released(app),
        )
        procfile = {p.type: p.command for p in release.processes} if release else {}
        if release is None:
            return Wanted(settings, procfile, "")
        return Wanted(settings, procfile, release.commit, release.declared)

    def save(self, app: App, settings: AppSettings) -> None:
        """Let the app have these settings: all of them, as a release had them. Call it in a transaction.

        Raises Conflict when a hostname or port belongs to another app by now.
        """
        apps.replace_config(self._db, app.id, settings.config)
        self._ports.replace(app, settings.ports)
        self._storage.save(app, settings.mounts)
        self._processes.set_scale(app, settings.scale)
        if settings.domains is None:
            self._domains.reset(app)
        else:
            self._domains.set(app, settings.domains)
        self._properties.restore(app, settings.properties)

    def check(self, app: App, settings: AppSettings) -> None:
        """Raises what `save` would, and saves nothing."""
        try:
            with self._db.transaction():
                self.save(app, settings)
                raise _Tried
        except _Tried:
            pass

    def make(self, app: App, wanted: Wanted, image: Image, who: Who, why: str) -> Release:
        """The next release of an app; recorded, not serving. The caller removes it when it does not come to serve."""
        release = self.draft(app, wanted, image, who, why)
        releases.insert(self._db, app, release)
        reached("release:recorded")
        return release

    def draft(self, app: App, wanted: Wanted, image: Image, who: Who, why: str) -> Release:
        """What the next release would be: for tasks that run before it is made."""
        settings = wanted.settings
        made_with, live = self._properties.in_force(settings.properties)
        return Release(
            app=app.name,
            number=releases.next_number(self._db, app),
            image_id=image.id,
            config=self._environment.with_globals({**wanted.declared.config, **settings.config}),
            processes=processes.of_release(
                processes.counts(settings.scale, wanted.declared.formation), wanted.procfile
            ),
            ports=tuple(ports.effective(settings.ports, image.config, self._settings.http_port)),
            mounts=settings.mounts,
            commit=wanted.commit,
            created=now(),
            who=str(who),
            why=why,
            made_with=made_with,
            properties=live,
            settings=settings,
            declared=wanted.declared,
        )

    def revision(self, app: App, commit: str) -> dict[str, str]:
        """The variable that names a commit, unless the app is to have none."""
        made_with, _ = self._properties.in_force(self._properties.released(app))
        return revision(made_with, commit)

    def forget(self, app: App, release: Release) -> None:
        """Undo `make`; a release that serves already stays, whatever went wrong after that."""
        releases.delete_unused(self._db, app, release.number)
