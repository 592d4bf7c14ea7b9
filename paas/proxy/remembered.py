"""Routes as JSON; and the last route of each app that nginx took, on disk: an engine that starts knows it although it
never served it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from paas.errors import PaasError
from paas.names import AppName, Hostname
from paas.routes import Access, Listen, Redirection, Route
from paas.system.files import ensure_directory, write_atomic

log = logging.getLogger(__name__)


class Texts:
    """Each route as JSON, made once as long as it stays the same. Not thread-safe."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Route, str]] = {}

    def of(self, route: Route) -> str:
        known = self._known.get(route.app)
        if known is None or known[0] != route:
            known = self._known[route.app] = (route, json.dumps(route, default=_plain, sort_keys=True))
        return known[1]

    def forget(self, app: str) -> None:
        self._known.pop(app, None)


class Remembered:
    """Not thread-safe."""

    def __init__(self, file: Path, texts: Texts) -> None:
        self._file = file
        self._texts = texts
        self._routes: dict[str, Route] | None = None

    @property
    def routes(self) -> Mapping[str, Route]:
        """By app."""
        if self._routes is None:
            self._routes = self._read()
        return self._routes

    def keep(self, routes: Mapping[str, Route]) -> None:
        """Only root may read it: it holds the hashes of visitors' passwords."""
        if dict(routes) == self.routes:
            return
        self._routes = dict(routes)
        text = "[" + ",\n".join(map(self._texts.of, routes.values())) + "]"
        try:
            ensure_directory(self._file.parent, mode=0o711)
            write_atomic(self._file, text, mode=0o600)
        except OSError as error:
            log.error("What nginx serves cannot be noted: %s", error.strerror)

    def _read(self) -> dict[str, Route]:
        try:
            found = [_route(fields) for fields in json.loads(self._file.read_text())]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, PaasError) as error:
            log.error("What nginx served is not known: %s cannot be read (%s)", self._file, error)
            return {}
        return {route.app: route for route in found}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return str(value)


def _route(found: dict[str, Any]) -> Route:
    access = found["access"]
    return Route(
        app=AppName(found["app"]),
        hostnames=tuple(map(Hostname, found["hostnames"])),
        upstream=IPv4Address(found["upstream"]),
        listens=tuple(Listen(**listen) for listen in found["listens"]),
        settings=dict(found["settings"]),
        certificate=_path(found["certificate"]),
        secure=tuple(map(Hostname, found["secure"])),
        access=Access(tuple((n, h) for n, h in access["users"]), tuple(access["allowed"])) if access else None,
        redirections=tuple(Redirection(Hostname(r["source"]), r["target"], r["code"]) for r in found["redirections"]),
        maintenance=_path(found["maintenance"]),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
