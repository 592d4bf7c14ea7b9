"""What is set at an app's edge besides nginx's own settings: rows of its properties that are read as values here.

None of it is part of a release: a rollback brings back what runs, not who may see it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paas.errors import InvalidInput
from paas.names import Hostname, shown
from paas.paths import Paths
from paas.routes import Access, Redirection
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database

DOMAINS_DISABLED = "domains:disabled"
PROXY_DISABLED = "proxy:disabled"
PROXY_CLEARED = "proxy:cleared"
MAINTENANCE = "maintenance:enabled"
PAGE = "maintenance:page"
AUTH = "http-auth:enabled"
USERS = "http-auth:users"
ALLOWED = "http-auth:allowed-ips"
REDIRECTIONS = "redirect:sources"
Rows = Mapping[str, str | None]
"""Keys of properties -> what they become; None takes one back."""


def address(text: str) -> str:
    """An IP address or a network. Raises InvalidInput."""
    try:
        return str(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))
    except ValueError:
        raise InvalidInput(
            f"{shown(text)} is neither an address nor a network",
            hint="Examples: 192.0.2.7, 192.0.2.0/24, 2001:db8::/32",
        ) from None


class EdgeSettings:
    def __init__(self, db: Database, paths: Paths, default_page: Path) -> None:
        """`default_page` is the directory of the maintenance page of apps that have none of their own."""
        self._db = db
        self._pages = paths.maintenance
        self._default_page = default_page

    def flag(self, app: App, key: str) -> bool:
        return apps.property(self._db, app.id, key) is not None

    def domains_enabled(self, app: App) -> bool:
        return not self.flag(app, DOMAINS_DISABLED)

    def is_served(self, app: App) -> bool:
        """Whether nginx serves the app at all."""
        return not self.flag(app, PROXY_DISABLED) and not self.flag(app, PROXY_CLEARED)

    # -- maintenance ----------------------------------------------------------------------------------------------

    def maintenance(self, app: App) -> Path | None:
        """The directory of the page that all visitors get; None while the app is not in maintenance."""
        return (self.page(app) or self._default_page) if self.flag(app, MAINTENANCE) else None

    def page(self, app: App) -> Path | None:
        """The directory of the app's own maintenance page."""
        name = apps.property(self._db, app.id, PAGE)
        return self._pages / str(app.id) / name if name else None

    # -- who may see it -------------------------------------------------------------------------------------------

    def access(self, app: App) -> Access | None:
        """None: everybody."""
        if not self.flag(app, AUTH):
            return None
        return Access(tuple(self.users(app).items()), tuple(self.allowed(app)))

    def users(self, app: App) -> dict[str, str]:
        """Name -> hash of the password."""
        return dict(self._json(app, USERS, {}))

    def allowed(self, app: App) -> list[str]:
        """Addresses and networks that need no password."""
        return list(self._json(app, ALLOWED, []))

    # -- redirections ---------------------------------------------------------------------------------------------

    def redirections(self, app: App) -> list[Redirection]:
        return [
            Redirection(Hostname(source), target, code) for source, target, code in self._json(app, REDIRECTIONS, [])
        ]

    def sources(self, app: App) -> list[Hostname]:
        """The hostnames whose visitors are sent elsewhere."""
        return [redirection.source for redirection in self.redirections(app)]

    def redirecting(self) -> list[App]:
        """The apps with redirections."""
        return apps.having(self._db, REDIRECTIONS)

    def _json(self, app: App, key: str, default: Any) -> Any:
        return json.loads(apps.property(self._db, app.id, key) or "null") or default


def rows_of_users(users: Mapping[str, str]) -> Rows:
    return {USERS: json.dumps(dict(users)) if users else None}


def rows_of_allowed(addresses: list[str]) -> Rows:
    return {ALLOWED: json.dumps(addresses) if addresses else None}


def rows_of_redirections(found: list[Redirection]) -> Rows:
    return {REDIRECTIONS: json.dumps([[r.source, r.target, r.code] for r in found]) if found else None}
