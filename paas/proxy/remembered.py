"""The last route of each app that nginx took, on disk: an engine that starts knows it although it never served it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from paas.errors import PaasError
from paas.names import AppName, Hostname
from paas.routes import Access, Listen, Redirection, Route
from paas.system.files import ensure_directory, write_atomic

log = logging.getLogger(__name__)


class Remembered:
    """Not thread-safe."""

    def __init__(self, file: Path) -> None:
        self._file = file
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
        text = json.dumps([asdict(route) for route in routes.values()], default=str)
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


def _route(fields: dict[str, Any]) -> Route:
    access = fields["access"]
    return Route(
        app=AppName(fields["app"]),
        hostnames=tuple(map(Hostname, fields["hostnames"])),
        upstream=IPv4Address(fields["upstream"]),
        listens=tuple(Listen(**listen) for listen in fields["listens"]),
        settings=dict(fields["settings"]),
        certificate=_path(fields["certificate"]),
        secure=tuple(map(Hostname, fields["secure"])),
        access=Access(tuple((n, h) for n, h in access["users"]), tuple(access["allowed"])) if access else None,
        redirections=tuple(Redirection(Hostname(r["source"]), r["target"], r["code"]) for r in fields["redirections"]),
        maintenance=_path(fields["maintenance"]),
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)
