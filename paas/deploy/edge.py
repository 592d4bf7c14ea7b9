"""Changes at an app's edge that are no release: nginx's settings, certificates, maintenance, passwords, redirections.

A change is saved, nginx is brought in step, and when it refuses, what was there before is put back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from paas.apps import edge as rows
from paas.apps.certs import CURRENT, Certs
from paas.apps.claims import Claims
from paas.apps.domains import Domains
from paas.apps.edge import EdgeSettings, Rows
from paas.apps.lifecycle import Apps
from paas.apps.pages import Pages
from paas.apps.ports import Ports
from paas.apps.properties import Properties, Property
from paas.deploy.applying import Applier
from paas.deploy.held import Request
from paas.deploy.routing import Routing
from paas.errors import Conflict, InvalidInput, NotFound, PaasError, SystemFailure
from paas.faults import reached
from paas.model import PortMap
from paas.names import port_number, shown
from paas.proxy.certificates import Certificate
from paas.proxy.proxy import Proxy
from paas.proxy.settings import SETTINGS
from paas.routes import Redirection
from paas.state import apps as app_rows
from paas.state import people
from paas.state.apps import App
from paas.state.database import Database


def _type(text: str) -> str:
    if text != "nginx":
        raise InvalidInput(
            f"{shown(text)} is not a proxy of this platform: apps are switched without a lost request by its own nginx",
            hint="The only type is nginx. ports:add APP tcp:HOST:CONTAINER leads past it, to a proxy of your own.",
        )
    return text


def _port(text: str) -> str:
    return str(port_number(text))


PROPERTIES = [
    *(Property("nginx", s.key, s.help, s.parse, s.default, s.global_only) for s in SETTINGS),
    Property("proxy", "type", "what serves apps: nginx", _type, "nginx"),
    Property("proxy", "proxy-port", "the port an app is served on by http (by default the machine's)", _port),
    Property("proxy", "proxy-ssl-port", "the port an app is served on by https (by default the machine's)", _port),
]


class Edge:
    def __init__(
        self,
        db: Database,
        apps: Apps,
        properties: Properties,
        settings: EdgeSettings,
        domains: Domains,
        ports: Ports,
        claims: Claims,
        certs: Certs,
        pages: Pages,
        proxy: Proxy,
        routing: Routing,
        applier: Applier,
    ) -> None:
        self._db = db
        self._apps = apps
        self._properties = properties
        self.settings = settings
        self._domains = domains
        self._ports = ports
        self._claims = claims
        self.certs = certs
        self._pages = pages
        self._proxy = proxy
        self._routing = routing
        self._applier = applier

    def set_property(self, name: str | None, noun: str, key: str, value: str | None, request: Request) -> None:
        """Set a property of nginx or of the proxy for an app, or (None) for all."""
        if name is None:
            item = self._properties.check_global(noun, key, value)
            if item.key in ("proxy-port", "proxy-ssl-port"):
                raise InvalidInput(
                    f"{key} is set for one app", hint="For all apps it is a setting: http_port, https_port."
                )
            self._save(None, {item.row: value or None}, request, f"{noun}:set", key)
            return

        def change(app: App) -> Rows:
            item = self._properties.check(noun, key, value)
            if value and key in ("proxy-port", "proxy-ssl-port"):
                wanted = PortMap("http" if key == "proxy-port" else "https", int(value), int(value))
                self._claims.check_ports(app, [wanted], request.who)
                self._ports.check_public(app, wanted)
            return {item.row: value or None}

        self.change(name, f"a change of {key}", change, request, f"{noun}:set", key)

    def clear_nginx(self, name: str, request: Request) -> None:
        """Take back all nginx settings of an app."""

        def change(app: App) -> Rows:
            return {item.row: None for item in self._properties.of("nginx") if not item.global_only}

        self.change(name, "a change of nginx settings", change, request, "nginx:validate-config", "clean")

    def change(
        self, name: str, purpose: str, change: Callable[[App], Rows], request: Request, action: str, detail: str = ""
    ) -> None:
        """Change rows of one app, which nobody else changes meanwhile."""
        with self._applier.hold(name, purpose, request) as app:
            self._save(app, change(app), request, action, detail)

    def switch(self, name: str, key: str, on: bool, request: Request, action: str) -> None:
        """Set or take back one that is set or not."""
        self.change(name, action, lambda app: {key: "1" if on else None}, request, action)

    def for_all(self, change: Callable[[str], None], request: Request) -> None:
        """The same for every app; one that cannot be changed is named, the others are not held up."""
        failed = []
        for app in self._apps.list():
            try:
                change(app.name)
            except PaasError as error:
                failed.append(app.name)
                request.out.warn(f"{app.name}: {error.message}")
        if failed:
            raise Conflict(f"Not done for {', '.join(failed)}", hint="See the messages above.")

    # -- certificates ---------------------------------------------------------------------------------------------

    def set_certificate(self, name: str, made: Callable[[App], Certificate], request: Request, action: str) -> None:
        """Serve an app by https with another certificate. On failure the former one serves on."""
        with self._applier.hold(name, "a change of its certificate", request) as app:
            certificate = made(app)
            with ExitStack() as cleanup:
                cleanup.callback(self.certs.sweep, app)
                detail = f"until {certificate.expires:%Y-%m-%d} for {' '.join(certificate.hostnames[:5])}"
                self._save(app, self.certs.write(app, certificate), request, action, detail)

    def remove_certificate(self, name: str, request: Request) -> None:
        with self._applier.hold(name, "the removal of its certificate", request) as app:
            if self.certs.current(app) is None:
                raise NotFound(f"{app.name} has no certificate")
            self._save(app, {CURRENT: None}, request, "certs:remove")
            self.certs.sweep(app)

    # -- maintenance, redirections --------------------------------------------------------------------------------

    def set_page(self, name: str, files: dict[str, bytes] | None, request: Request) -> None:
        """Give an app a maintenance page of its own, or (None) the usual one."""
        with self._applier.hold(name, "a change of its page", request) as app, ExitStack() as cleanup:
            cleanup.callback(self._pages.sweep, app)
            row: Rows = {rows.PAGE: None} if files is None else self._pages.write(app, files)
            self._save(app, row, request, "maintenance:custom-page")

    def redirect(self, name: str, redirection: Redirection, request: Request) -> None:
        def change(app: App) -> Rows:
            self._claims.check_hostnames(app, [redirection.source], request.who)
            self._domains.check_free(app, [redirection.source])
            others = [r for r in self.settings.redirections(app) if r.source != redirection.source]
            return rows.rows_of_redirections([*others, redirection])

        self.change(name, "a redirection", change, request, "redirect:set", redirection.source)

    # -- shared ---------------------------------------------------------------------------------------------------

    def _save(self, app: App | None, changed: Rows, request: Request, action: str, detail: str = "") -> None:
        owner = app.id if app else app_rows.GLOBAL
        before: Mapping[str, str | None] = {key: app_rows.property(self._db, owner, key) for key in changed}
        refused = set(self._proxy.refused)
        with ExitStack() as undo:
            undo.callback(self._routing.apply)
            undo.callback(app_rows.set_properties, self._db, owner, before)
            app_rows.set_properties(self._db, owner, changed)
            reached("edge:saved")
            self._routing.apply(app)
            reached("edge:routed")
            if app is None and (new := sorted(set(self._proxy.refused) - refused)):
                raise SystemFailure(f"{', '.join(new)} cannot be served with that: {self._proxy.refused[new[0]]}")
            undo.pop_all()
        people.record(self._db, request.who, app.name if app else "", action, detail)
