"""Each app's part of nginx's configuration: only what differs from what holds for all apps.

It says public ports where nginx is to listen; the local ones, which are others for each nginx, are put in their places
at the end. So what was made of a route goes on to be good until the route changes, however often nginx is swapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.proxy.servers import Upstream, check, served, servers
from paas.proxy.settings import BY_KEY, SETTINGS, complete
from paas.proxy.sockets import PLACE, Sockets
from paas.proxy.templates import template
from paas.routes import Route

PASSING = ("connect-timeout", "read-timeout", "send-timeout", "buffer-size")
"""Settings `proxy-...` that are directives of proxying by HTTP and by gRPC, each with its own name."""
_HEADERS = tuple(setting.key for setting in SETTINGS if setting.key.startswith("x-forwarded-"))
_PLACE = re.compile(PLACE.format(port=r"(\d+)"))


@dataclass(frozen=True, slots=True)
class Section:
    text: str
    users: str
    """The content of the file with those who may see the app, '' for none."""


class Sections:
    """Not thread-safe."""

    def __init__(self, pages: Path, logs: Path) -> None:
        self._pages = pages
        self._logs = logs
        self._known: dict[str, tuple[Route, object, Section]] = {}

    def of(self, route: Route, sockets: Sockets) -> Section:
        """Raises InvalidInput for a route that holds what cannot stand in a configuration."""
        seen = sockets.seen_by(route)
        known = self._known.get(route.app)
        if known is None or known[:2] != (route, seen):
            known = self._known[route.app] = (route, seen, self._made(route, sockets))
        return known[2]

    def forget(self, app: str) -> None:
        self._known.pop(app, None)

    def _made(self, route: Route, sockets: Sockets) -> Section:
        check(route)
        settings = complete(route.settings)
        changed = {key: value for key, value in settings.items() if value != BY_KEY[key].default}
        text = template("app.conf.j2").render(
            route=route,
            settings=settings,
            directives=[(BY_KEY[key].directive, value) for key, value in changed.items() if BY_KEY[key].directive],
            passing=list(passing(changed)),
            own_headers=any(key in changed for key in _HEADERS),
            upstreams=[Upstream(route, number) for number in sorted({listen.upstream for listen in served(route)})],
            servers=servers(route, sockets),
            hsts=_hsts(settings),
            users_file=users_file(route.app),
            pages=self._pages,
            logs=self._logs,
        )
        users = route.access.users if route.access is not None else ()
        return Section(text, "".join(f"{name}:{hashed}\n" for name, hashed in users))


def passing(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(what follows `proxy_` or `grpc_`, value)"""
    for name in PASSING:
        if value := settings.get(f"proxy-{name}"):
            yield name.replace("-", "_"), value


def users_file(app: str) -> str:
    return f"users/{app}"


def placed(text: str, local: Mapping[int, int]) -> str:
    """A configuration with the local ports that nginx is to open for the public ones."""
    return _PLACE.sub(lambda found: str(local[int(found[1])]), text)


def section(text: str, app: str) -> str | None:
    """An app's part of what was made of all of them, None where it has none."""
    _, begin, rest = f"\n{text}".partition(f"\n# {app}\n")
    return f"# {app}\n" + rest.partition("\n# ")[0].rstrip() + "\n" if begin else None


def joined(sections: Sequence[Section]) -> str:
    return "\n".join(each.text for each in sections)


def _hsts(settings: Mapping[str, str]) -> str:
    """The value of Strict-Transport-Security, '' for none."""
    if settings["hsts"] != "true":
        return ""
    parts = [f"max-age={settings['hsts-max-age']}"]
    parts += ["includeSubDomains"] if settings["hsts-include-subdomains"] == "true" else []
    parts += ["preload"] if settings["hsts-preload"] == "true" else []
    return "; ".join(parts)
