"""Hostnames: an app's own, or its name below each global domain."""

from __future__ import annotations

from collections.abc import Iterable

from paas.errors import NotFound
from paas.names import Hostname
from paas.settings import Settings
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database


class Domains:
    def __init__(self, db: Database, settings: Settings, host_address: str) -> None:
        self._db = db
        self._settings = settings
        self._host_address = host_address

    def globals(self) -> list[Hostname]:
        """The domains set for all apps: by command, else by the settings file."""
        return apps.global_domains(self._db) or ([Hostname(self._settings.domain)] if self._settings.domain else [])

    def of(self, app: App) -> list[Hostname]:
        """The hostnames the app is served under, the most important first.

        Without any global domain an app is served under a name that resolves to this host by itself (sslip.io).
        """
        if app.own_domains:
            return apps.own_domains(self._db, app.id)
        bases = self.globals() or [Hostname(f"{self._host_address.replace('.', '-')}.sslip.io")]
        if "." in app.name:
            return [Hostname(app.name)]
        return [Hostname(f"{app.name}.{base}") for base in bases if not base.startswith("*.")]

    def add(self, app: App, hostnames: Iterable[Hostname]) -> None:
        apps.set_own_domains(self._db, app.id, [*self.of(app), *hostnames])

    def remove(self, app: App, hostnames: Iterable[Hostname]) -> None:
        present = self.of(app)
        gone = set(hostnames)
        for hostname in gone:
            if hostname not in present:
                raise NotFound(
                    f"{hostname} is not a domain of {app.name}",
                    hint="It has: " + (", ".join(present) or "none"),
                )
        apps.set_own_domains(self._db, app.id, [hostname for hostname in present if hostname not in gone])

    def set(self, app: App, hostnames: Iterable[Hostname]) -> None:
        apps.set_own_domains(self._db, app.id, hostnames)

    def clear(self, app: App) -> None:
        """Serve the app under no hostname."""
        apps.set_own_domains(self._db, app.id, [])

    def reset(self, app: App) -> None:
        """Let the app follow the global domains again."""
        apps.set_own_domains(self._db, app.id, None)

    def set_globals(self, hostnames: Iterable[Hostname]) -> None:
        apps.set_global_domains(self._db, hostnames)
