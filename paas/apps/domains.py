"""Hostnames: an app's own, or its name below each global domain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from paas.apps.edge import EdgeSettings
from paas.errors import InvalidInput, NotFound
from paas.names import Hostname, shown
from paas.settings import Settings
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database

_DISPUTED = "\u00df\u03c2\u200c\u200d"
"""What the two standards for international names, of 2003 and 2008, write differently in ASCII."""


def hostname(text: str) -> Hostname:
    """A hostname, of letters of any script: those outside ASCII are written in punycode. Raises InvalidInput."""
    if text.isascii():
        return Hostname(text)
    if any(character in text for character in _DISPUTED):
        raise InvalidInput(
            f"{shown(text)} is written in two ways in the DNS", hint="Give its ASCII form, which begins with xn--."
        )
    wildcard, name = ("*.", text[2:]) if text.startswith("*.") else ("", text)
    try:
        return Hostname(wildcard + name.encode("idna").decode("ascii"))
    except UnicodeError:
        raise InvalidInput(f"{shown(text)} is not a hostname") from None


class Domains:
    def __init__(self, db: Database, settings: Settings, host_address: str, edge: EdgeSettings) -> None:
        self._db = db
        self._edge = edge
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
        names = self.inherited(app, self.bases())
        # What another app was given explicitly is that one's.
        return [Hostname(name) for name in names if apps.domain_owner(self._db, name) is None]

    def bases(self) -> list[Hostname]:
        """The domains below which apps get names."""
        return self.globals() or [Hostname(f"{self._host_address.replace('.', '-')}.sslip.io")]

    def inherited(self, app: App, bases: Iterable[Hostname]) -> list[str]:
        """The hostnames of an app without its own, whoever has them."""
        return [app.name] if "." in app.name else [f"{app.name}.{b}" for b in bases if not b.startswith("*.")]

    def are_provisional(self, app: App) -> bool:
        """Whether the app is served under a name that nobody has chosen."""
        return not app.own_domains and not self.globals() and "." not in app.name

    def served(self, app: App) -> list[Hostname]:
        """The same, but none while domains are disabled."""
        return self.of(app) if self._edge.domains_enabled(app) else []

    def check_free(self, app: App, hostnames: Iterable[Hostname]) -> None:
        """Raises Conflict for a hostname that another app is served under, or redirects."""
        for hostname in sorted(set(hostnames)):
            for other in self._candidates(hostname):
                if other.id != app.id and hostname in {*self.of(other), *self._edge.sources(other)}:
                    raise apps.hostname_taken(hostname, other)

    def _candidates(self, hostname: Hostname) -> Iterator[App]:
        """The apps that could be served under a hostname, or redirect it: a few, however many there are."""
        labels = [hostname.removesuffix(f".{base}") for base in self.bases() if hostname.endswith(f".{base}")]
        found = [apps.domain_owner(self._db, hostname), *(apps.find(self._db, name) for name in (hostname, *labels))]
        yield from (app for app in found if app is not None)
        yield from self._edge.redirecting()

    def add(self, app: App, hostnames: Iterable[Hostname]) -> None:
        self.set(app, [*self.of(app), *hostnames])

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
        wanted = list(hostnames)
        self.check_free(app, wanted)
        apps.set_own_domains(self._db, app.id, wanted)

    def clear(self, app: App) -> None:
        """Serve the app under no hostname."""
        apps.set_own_domains(self._db, app.id, [])

    def reset(self, app: App) -> None:
        """Let the app follow the global domains again."""
        apps.set_own_domains(self._db, app.id, None)

    def set_globals(self, hostnames: Iterable[Hostname]) -> None:
        apps.set_global_domains(self._db, hostnames)
