"""Routes -> nginx configuration. Pure, but for reading the templates."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from paas.errors import InvalidInput
from paas.model import Route
from paas.paths import TEMPLATES

_SAFE = re.compile(r"[A-Za-z0-9.*_-]+")
_SIZE = re.compile(r"[0-9]+[kmgKMG]?")
_TIME = re.compile(r"[0-9]+(ms|s|m|h)?")
KEEPALIVE_SECONDS = 15
State = Literal["undeployed", "deploying", "stopped", "crashed"]


@dataclass(frozen=True, slots=True)
class Listen:
    scheme: str
    public: int
    local: int
    default: bool


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


def public_ports(routes: Sequence[Route], http_port: int) -> list[int]:
    """The ports that have to be listened for; the http port always."""
    return sorted({http_port, *(port for route in routes for _, port in route.listens)})


def render(
    routes: Sequence[Route],
    local: Mapping[int, int],
    http_port: int,
    places: Places,
    machine: Machine,
    generation: int,
) -> dict[str, str]:
    """File names below the generation's directory -> their text. `local` maps public ports to those nginx opens.

    On the http port a hostname nobody has is refused; another port that a single app maps is served to any hostname.
    """
    alone = {port: _only_app(routes, port) for port in local if port != http_port}
    closed = [(public, port) for public, port in sorted(local.items()) if alone.get(public) is None]
    files = {
        "nginx.conf": _template("nginx.conf.j2").render(
            generation=generation,
            closed=closed,
            keepalive_seconds=KEEPALIVE_SECONDS,
            directory=places.directory,
            logs=places.logs,
            scratch=places.scratch,
            user=machine.user,
            open_files=machine.open_files,
            ipv6=machine.ipv6,
            mime_types=machine.mime_types,
        )
    }
    for route in routes:
        _check(route)
        listens = [Listen(s, port, local[port], alone.get(port) == route.app) for s, port in route.listens]
        files[f"apps/{route.app}.conf"] = _template("app.conf.j2").render(
            route=route,
            listens=listens,
            pages=places.pages,
            logs=places.logs,
            ipv6=machine.ipv6,
        )
    return files


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
    "stopped": _Page("Stopped", "{app} has been stopped.", "To start it:", "paas ps:start {app}", reload=False),
    "crashed": _Page(
        "Not answering",
        "{app} is not answering right now. It is started again by itself.",
        "To see why:",
        "paas logs {app}",
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


def _only_app(routes: Sequence[Route], port: int) -> str | None:
    apps = {route.app for route in routes if any(public == port for _, public in route.listens)}
    return apps.pop() if len(apps) == 1 else None


def _check(route: Route) -> None:
    """The types have refused bad values already; what is put into a configuration is looked at once more."""
    words = [route.app, *route.hostnames]
    fine = all(_SAFE.fullmatch(word) for word in words)
    if not fine or not _SIZE.fullmatch(route.client_max_body_size) or not _TIME.fullmatch(route.proxy_read_timeout):
        raise InvalidInput(f"{route.app} has a setting that cannot stand in nginx's configuration")


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
