"""Routes -> nginx configuration. Pure, but for reading the templates."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from paas.model import TLS_SCHEMES
from paas.paths import TEMPLATES
from paas.proxy.servers import Upstream, check, servers
from paas.proxy.settings import BY_KEY, SETTINGS, complete
from paas.proxy.sockets import Sockets
from paas.routes import Listen, Route

State = Literal["undeployed", "deploying", "starting", "stopped", "crashed", "maintenance"]


@dataclass(frozen=True, slots=True)
class Places:
    """Directories of one generation of nginx, and those all generations share."""

    directory: Path
    pages: Path
    logs: Path
    scratch: Path


@dataclass(frozen=True, slots=True)
class Machine:
    """What the configuration takes from the host."""

    user: str
    open_files: int
    ipv6: bool
    mime_types: str


@dataclass(frozen=True, slots=True)
class Public:
    """The ports all apps are served on."""

    http: int
    https: int
    http2: bool = True


def public_ports(routes: Sequence[Route], public: Public) -> list[int]:
    """The ports that have to be listened for; those all apps share always."""
    return sorted({public.http, public.https, *(listen.port for route in routes for listen in _served(route))})


def render(
    routes: Sequence[Route],
    local: Mapping[int, int],
    public: Public,
    places: Places,
    machine: Machine,
    generation: int,
) -> dict[str, str]:
    """File names below the generation's directory -> their text. `local` maps public ports to those nginx opens.

    On the shared ports a hostname nobody has is refused; another port that a single app maps is served to any hostname.
    Raises InvalidInput for a route that holds what cannot stand in a configuration.
    """
    for route in routes:
        check(route)
    sockets = Sockets(routes, local, public.http, public.https, ipv6=machine.ipv6, http2=public.http2)
    files = {
        "nginx.conf": _template("nginx.conf.j2").render(
            generation=generation,
            closed=sockets.closed(),
            client_defaults=[s for s in SETTINGS if s.directive in _BEFORE_THE_HOST_IS_KNOWN],
            directory=places.directory,
            logs=places.logs,
            scratch=places.scratch,
            user=machine.user,
            open_files=machine.open_files,
            mime_types=machine.mime_types,
            keepalive_time=_KEEPALIVE_TIME,
        )
    }
    for route in routes:
        settings = complete(route.settings)
        files[f"apps/{route.app}.conf"] = _template("app.conf.j2").render(
            route=route,
            settings=settings,
            directives=[
                (BY_KEY[key].directive, value) for key, value in settings.items() if BY_KEY[key].directive and value
            ],
            upstreams=[Upstream(route, number) for number in sorted({listen.upstream for listen in _served(route)})],
            servers=servers(route, sockets),
            hsts=_hsts(settings),
            users_file=places.directory / _users_file(route),
            pages=places.pages,
            logs=places.logs,
        )
        if route.access is not None and route.access.users:
            files[_users_file(route)] = "".join(f"{name}:{hashed}\n" for name, hashed in route.access.users)
    return files


_BEFORE_THE_HOST_IS_KNOWN = ("client_header_timeout", "keepalive_timeout")


_KEEPALIVE_TIME = 15
"""Seconds after which a client's connection is told to close with its next answer."""


def longest_idle(routes: Sequence[Route]) -> float:
    """Seconds after which none of the connections of now is open but those with a request in work."""
    return _KEEPALIVE_TIME + max(
        (_seconds(complete(route.settings)["keepalive-timeout"]) for route in routes),
        default=_seconds(BY_KEY["keepalive-timeout"].default),
    )


def _seconds(time: str) -> float:
    """Of a time as the settings have it, `500ms` or `15s`."""
    number = time.rstrip("mshd")
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[time[len(number) :]]


def _served(route: Route) -> list[Listen]:
    """Without a certificate nothing is served by TLS."""
    return [listen for listen in route.listens if route.certificate is not None or listen.scheme not in TLS_SCHEMES]


def _users_file(route: Route) -> str:
    return f"apps/{route.app}.users"


def _hsts(settings: Mapping[str, str]) -> str:
    """The value of Strict-Transport-Security, '' for none."""
    if settings["hsts"] != "true":
        return ""
    parts = [f"max-age={settings['hsts-max-age']}"]
    parts += ["includeSubDomains"] if settings["hsts-include-subdomains"] == "true" else []
    parts += ["preload"] if settings["hsts-preload"] == "true" else []
    return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class _Page:
    title: str
    text: str
    hint: str
    command: str = ""
    reload: bool = True


_PAGES: dict[State, _Page] = {
    "undeployed": _Page(
        "Nothing here yet",
        "{app} has been created; nothing has been pushed to it.",
        "To deploy it:",
        "git push paas master",
    ),
    "deploying": _Page(
        "Almost there", "{app} is being deployed for the first time.", "This page looks again every few seconds."
    ),
    "starting": _Page(
        "Starting", "{app} is starting: the machine was restarted.", "This page looks again every few seconds."
    ),
    "stopped": _Page("Stopped", "{app} has been stopped.", "To start it:", "paas ps:start {app}", reload=False),
    "crashed": _Page(
        "Not answering",
        "{app} is not answering right now. It is started again by itself.",
        "To see why:",
        "paas logs {app}",
    ),
    "maintenance": _Page(
        "Down for maintenance", "This is being worked on and will be back soon.", "This page looks again by itself."
    ),
}


def page(app: str, state: State) -> str:
    """What visitors see while no instance of an app answers."""
    chosen = _PAGES[state]
    return _template("page.html.j2").render(
        title=chosen.title,
        text=chosen.text.format(app=app),
        hint=chosen.hint,
        command=chosen.command.format(app=app),
        reload=chosen.reload,
    )


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _template(name: str) -> Template:
    return _environment().get_template(name)
