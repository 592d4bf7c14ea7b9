"""What nginx is to serve, from the database; and what it tells visitors while an app does not answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from paas.apps.certs import Certs
from paas.apps.domains import Domains
from paas.apps.edge import EdgeSettings
from paas.apps.properties import Properties
from paas.deploy.known_routes import KnownRoutes
from paas.model import TLS_SCHEMES, WEB_SCHEMES, Instance, PortMap
from paas.proxy.proxy import Proxy
from paas.proxy.settings import SETTINGS
from paas.routes import Listen, Route
from paas.schedulers.services import Services
from paas.settings import Settings
from paas.state import apps, releases
from paas.state.apps import App
from paas.state.database import Database


class Routing:
    def __init__(
        self,
        settings: Settings,
        db: Database,
        domains: Domains,
        services: Services,
        proxy: Proxy,
        properties: Properties,
        edge: EdgeSettings,
        certs: Certs,
    ) -> None:
        self._settings = settings
        self._db = db
        self._domains = domains
        self._services = services
        self._proxy = proxy
        self._properties = properties
        self._edge = edge
        self._certs = certs
        self._known = KnownRoutes(db, domains, lambda app: self.route(app) if edge.is_served(app) else None)

    def start(self) -> None:
        """Let nginx serve what the database says, from now on."""
        self._proxy.start(self.routes, lambda: self._properties.value("nginx", "http2", None) == "on")

    def routes(self) -> list[Route]:
        """Of all apps that nginx serves."""
        return self._known.all()

    def has_provisional_name(self, app: App) -> bool:
        """Whether the app is served, under a name that nobody has chosen."""
        return self._domains.are_provisional(app) and bool(self._domains.served(app))

    def route(self, app: App) -> Route:
        certificate = self._certs.current(app)
        hostnames = tuple(self._domains.served(app))
        redirections = tuple(self._edge.redirections(app))
        names = {*hostnames, *(redirection.source for redirection in redirections)}
        secure = tuple(sorted(name for name in names if certificate and certificate.covers(name)))
        return Route(
            app=app.name,
            hostnames=hostnames,
            upstream=self._services.address(app),
            listens=self._listens(app, with_tls=certificate is not None),
            settings=self._nginx_settings(app),
            certificate=certificate.directory if certificate else None,
            secure=secure,
            access=self._edge.access(app),
            redirections=redirections,
            maintenance=self._edge.maintenance(app),
        )

    def apply(self, app: App | None = None, *, force: bool = False) -> None:
        """Bring nginx in step. Nothing happens when nothing that it serves has changed.

        Raises SystemFailure when nginx refuses what this app would be served by: it goes on as it was.
        """
        self._proxy.apply(app.name if app else None, force=force)

    def announce_start(self, lost: Iterable[Instance]) -> None:
        """Tell visitors of apps whose instances are about to be started that they are."""
        for name in {instance.app for instance in lost}:
            self._proxy.set_page(name, "starting")

    def update_page(self, app: App, *, deploying: bool = False) -> None:
        """Choose the page visitors get while no instance answers."""
        if app.release is None:
            self._proxy.set_page(app.name, "deploying" if deploying else "undeployed")
        else:
            self._proxy.set_page(app.name, "stopped" if app.stopped else "crashed")

    def forget(self, app: App) -> None:
        """After an app has been removed."""
        self._proxy.forget(app.name)

    def renamed(self, app: App, new: App) -> None:
        self._proxy.renamed(app.name, new.name)

    def urls(self, app: App) -> list[str]:
        """Where the app answers, the most important first. Wildcards stand for no place one could go to."""
        if not self._edge.is_served(app):
            return []
        route = self.route(app)
        sources = {redirection.source for redirection in route.redirections}
        found = []
        for listen in sorted(route.listens, key=lambda listen: listen.scheme not in TLS_SCHEMES):
            scheme = {"grpc": "http", "grpcs": "https"}.get(listen.scheme, listen.scheme)
            suffix = "" if listen.port == {"http": 80, "https": 443}[scheme] else f":{listen.port}"
            for hostname in (name for name in route.hostnames if not name.startswith("*.")):
                is_secure = hostname in route.secure
                if hostname not in sources and (
                    is_secure if scheme == "https" else not (is_secure and listen.to_https)
                ):
                    found.append(f"{scheme}://{hostname}{suffix}")
        return found

    def _listens(self, app: App, *, with_tls: bool) -> tuple[Listen, ...]:
        """The public ports of an app: as its release maps them, and with a certificate the https port."""
        http_port = self._settings.http_port
        mapped = releases.current_ports(self._db, app)
        maps = [PortMap("http", http_port, http_port)] if mapped is None else [port for port in mapped if port.is_web]
        chosen = {port.host for port in apps.ports(self._db, app.id)}
        found: list[Listen] = []
        for port in maps:
            usual = port.host == http_port and http_port not in chosen
            public = self.http_port(app) if usual else port.host
            for scheme in WEB_SCHEMES:
                if scheme == port.scheme and (with_tls or scheme not in TLS_SCHEMES):
                    found.append(Listen(scheme, public, port.host))
        if with_tls:
            tls_port = self.https_port(app)
            if not any(listen.port == tls_port for listen in found):
                found.append(Listen("https", tls_port, http_port))
            if any(listen == Listen("https", tls_port, listen.upstream) for listen in found):
                found = [
                    replace(listen, to_https=tls_port)
                    if (listen.scheme, listen.upstream) == ("http", http_port)
                    else listen
                    for listen in found
                ]
        return tuple(found)

    def http_port(self, app: App) -> int:
        """The port an app's hostnames are served on, where it maps none to that end itself."""
        return int(self._properties.value("proxy", "proxy-port", app) or self._settings.http_port)

    def https_port(self, app: App) -> int:
        return int(self._properties.value("proxy", "proxy-ssl-port", app) or self._settings.https_port)

    def _nginx_settings(self, app: App) -> dict[str, str]:
        """What is set, for the app or for all."""
        rows = {**apps.properties(self._db, apps.GLOBAL), **apps.properties(self._db, app.id)}
        found = {}
        for setting in SETTINGS:
            if text := rows.get(f"nginx:{setting.key}"):
                value = setting.parse(text)
                if value != setting.default:
                    found[setting.key] = value
        return found
