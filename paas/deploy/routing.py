"""What nginx is to serve, from the database; and what it tells visitors while an app does not answer."""

from __future__ import annotations

from typing import Literal

from paas.apps.domains import Domains
from paas.model import Route
from paas.proxy.proxy import Proxy
from paas.schedulers.services import Services
from paas.settings import Settings
from paas.state import apps, releases
from paas.state.apps import App
from paas.state.database import Database


class Routing:
    def __init__(self, settings: Settings, db: Database, domains: Domains, services: Services, proxy: Proxy) -> None:
        self._settings = settings
        self._db = db
        self._domains = domains
        self._services = services
        self._proxy = proxy

    def routes(self) -> list[Route]:
        return [self.route(app) for app in apps.listing(self._db)]

    def route(self, app: App) -> Route:
        release = releases.current(self._db, app)
        http: list[tuple[Literal["http", "https"], int]] = [("http", self._settings.http_port)]
        if release is not None:
            http = [("http", port.host) for port in release.ports if port.scheme == "http"]
        return Route(
            app=app.name,
            hostnames=tuple(self._domains.of(app)),
            upstream=self._services.address(app),
            listens=tuple(http),
        )

    def apply(self) -> None:
        """Bring nginx in step. Nothing happens when nothing that it serves has changed."""
        self._proxy.apply()

    def update_page(self, app: App, *, deploying: bool = False) -> None:
        """Choose the page visitors get while no instance answers."""
        if app.release is None:
            self._proxy.set_page(app.name, "deploying" if deploying else "undeployed")
        else:
            self._proxy.set_page(app.name, "stopped" if app.stopped else "crashed")

    def urls(self, app: App) -> list[str]:
        """Where the app answers, the most important first."""
        route = self.route(app)
        found = []
        for scheme, port in route.listens:
            suffix = "" if port == {"http": 80, "https": 443}[scheme] else f":{port}"
            found += [f"{scheme}://{hostname}{suffix}" for hostname in route.hostnames]
        return found
