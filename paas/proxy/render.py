"""Routes -> nginx configuration. Pure, but for reading the templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from paas.proxy.sections import Sections, joined, passing, placed, users_file
from paas.proxy.servers import served
from paas.proxy.settings import SETTINGS, complete
from paas.proxy.sockets import Sockets
from paas.proxy.templates import template
from paas.routes import Route

State = Literal["undeployed", "deploying", "starting", "stopped", "crashed", "maintenance", "busy"]


@dataclass(frozen=True, slots=True)
class Places:
    """The directory of one generation of nginx, and those all generations share."""

    directory: Path
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
    return sorted({public.http, public.https, *(listen.port for route in routes for listen in served(route))})


def render(
    routes: Sequence[Route],
    local: Mapping[int, int],
    public: Public,
    places: Places,
    machine: Machine,
    sections: Sections,
) -> dict[str, str]:
    """File names below the generation's directory -> their text. `local` maps public ports to those nginx opens.

    On the shared ports a hostname nobody has is refused; another port that a single app maps is served to any hostname.
    Raises InvalidInput for a route that holds what cannot stand in a configuration.
    """
    sockets = Sockets(routes, sorted(local), public.http, public.https, ipv6=machine.ipv6, http2=public.http2)
    names = sum(len(route.hostnames) + len(route.redirections) for route in routes)
    found = [sections.of(route, sockets) for route in routes]
    text = template("nginx.conf.j2").render(
        closed=sockets.closed(),
        settings=_DEFAULTS,
        directives=[(s.directive, s.default) for s in SETTINGS if s.directive and s.default],
        passing=list(passing(_DEFAULTS)),
        local=sorted(local.items()),
        directory=places.directory,
        logs=places.logs,
        scratch=places.scratch,
        user=machine.user,
        open_files=machine.open_files,
        mime_types=machine.mime_types,
        keepalive_time=_KEEPALIVE_TIME,
        names_hash=_names_hash(names),
    )
    files = {"nginx.conf": placed(text, local), "apps.conf": placed(joined(found), local)}
    files |= {users_file(route.app): each.users for route, each in zip(routes, found, strict=True) if each.users}
    return files


def _names_hash(names: int) -> int:
    """The most buckets of nginx's table of hostnames.

    It tries one size after the other until no bucket is too long, beginning near the most where that is over 10,000.
    """
    return 8192 if names <= 1000 else max(12_000, 4 * names)


_DEFAULTS = complete({})
_IDLE = _DEFAULTS["keepalive-timeout"]
_KEEPALIVE_TIME = 15
"""Seconds after which a client's connection is told to close with its next answer."""


def longest_idle(routes: Sequence[Route]) -> float:
    """Seconds after which none of the connections of now is open but those with a request in work."""
    return _KEEPALIVE_TIME + max(
        (_seconds(route.settings.get("keepalive-timeout") or _IDLE) for route in routes), default=_seconds(_IDLE)
    )


def _seconds(time: str) -> float:
    """Of a time as the settings have it, `500ms` or `15s`."""
    number = time.rstrip("mshd")
    return float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[time[len(number) :]]


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
    "busy": _Page(
        "Too many requests",
        "More is being asked than this site answers at once. This request was not passed on to it.",
        "This page looks again every few seconds.",
    ),
}


def page(app: str, state: State) -> str:
    """What visitors see while no instance of an app answers."""
    chosen = _PAGES[state]
    return template("page.html.j2").render(
        title=chosen.title,
        text=chosen.text.format(app=app),
        hint=chosen.hint,
        command=chosen.command.format(app=app),
        reload=chosen.reload,
    )
