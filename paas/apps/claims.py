"""What all apps share and an owner may not take alone: hostnames that are others' to give, and low ports."""

from __future__ import annotations

from collections.abc import Iterable

from paas.apps.access import Access, Role
from paas.apps.domains import Domains
from paas.apps.edge import EdgeSettings
from paas.errors import Denied
from paas.model import PortMap, Who
from paas.names import AppName, Hostname
from paas.settings import Settings
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database

_LOW = 1024
"""Ports below are those of the host's own services, also of those that do not run at the moment."""


class Claims:
    def __init__(self, db: Database, settings: Settings, domains: Domains, edge: EdgeSettings) -> None:
        self._db = db
        self._settings = settings
        self._domains = domains
        self._edge = edge

    def check_name(self, name: AppName, who: Who) -> None:
        """Raises Denied for the name of an app to be that would give it a hostname as `check_hostnames` refuses it."""
        if "." in name:
            self._check(Hostname(name), None, who)

    def check_hostnames(self, app: App, wanted: Iterable[Hostname], who: Who) -> None:
        """Raises Denied for a hostname that whoever does not deploy all apps may not give to one of theirs.

        These are names of the machine itself, names below a global domain that are another app's to be, those below
        the hostname of an app of others, and wildcards that take one in.
        """
        for hostname in set(wanted) - set(self._domains.of(app)):
            self._check(hostname, app, who)

    def check_ports(self, app: App, maps: Iterable[PortMap], who: Who) -> None:
        """Raises Denied for a port below 1024 of the host that is no shared one, asked for by somebody else than an
        admin, unless the app has it already."""
        shared = (self._settings.http_port, self._settings.https_port)
        present = apps.ports(self._db, app.id)
        for new in maps:
            if not (who.admin or new in present or new.host >= _LOW or (new.is_web and new.host in shared)):
                raise Denied(
                    f"Only an admin key may map port {new.host}: the host's own services have those below {_LOW}",
                    hint="Choose a port from 1024 on, or ask an admin.",
                )

    def _check(self, hostname: Hostname, app: App | None, who: Who) -> None:
        grants = Access(self._db).of(who)
        if grants.everywhere_at_least(Role.DEPLOY):
            return
        if (why := self._reserved(hostname, app)) is not None:
            raise Denied(f"Access denied: {hostname} {why}", hint="Ask an admin to add it.")
        for other in apps.listing(self._db):
            if (app is not None and other.id == app.id) or grants.may(Role.DEPLOY, other):
                continue
            theirs = [*self._domains.of(other), *(r.source for r in self._edge.redirections(other))]
            if any(meet(hostname, name) for name in theirs):
                raise Denied(
                    f"Access denied: {hostname} is among the hostnames of an app of others",
                    hint="Ask an admin to add it.",
                )

    def _reserved(self, hostname: Hostname, app: App | None) -> str | None:
        """Why a hostname is nobody's to claim, None if it may be."""
        name = hostname.removeprefix("*.")
        last = name.rpartition(".")[2]
        if last.isdigit() or last.startswith("0x") or last == "localhost":
            return "is this machine itself, or an address"
        if "." not in name:
            return "is a whole top-level domain" if hostname != name else "is no name of the DNS"
        for base in self._domains.globals():
            own = f"{app.name}.{base}" if app is not None else None
            if name == base or (name.endswith(f".{base}") and own != name and not name.endswith(f".{own}")):
                return f"lies below the global domain {base}, where each app has its own name"
        return None


def meet(mine: str, theirs: str) -> bool:
    """Whether one hostname lies below another app's, or is a wildcard that takes in another app's.

    A wildcard takes in any number of labels, as with nginx; and pages below a hostname can set its cookies (RFC 6265).
    """
    return mine.endswith("." + theirs.removeprefix("*.")) or (mine.startswith("*.") and theirs.endswith(mine[1:]))
