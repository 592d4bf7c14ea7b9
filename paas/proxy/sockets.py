"""Which `listen` lines every server needs, so that the servers of one port agree.

nginx picks the server for a connection first by local address, then by name. An app bound to one address makes nginx
look only at servers that name this address, so on such a port all others have to name it as well.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from paas.model import TLS_SCHEMES
from paas.proxy.settings import BY_KEY
from paas.routes import Listen, Route

PLACE = "\0{port}\0"
"""Stands for the local port that nginx opens for a public one. No value in a configuration holds a NUL byte."""
Wire = Literal["http", "h2c", "tls"]
"""What is spoken on a port: with nginx's `listen` one port cannot do two of them."""


def wire(scheme: str) -> Wire:
    if scheme in TLS_SCHEMES:
        return "tls"
    return "h2c" if scheme == "grpc" else "http"


@dataclass(frozen=True, slots=True)
class Closed:
    """The server of a port for hostnames nobody has."""

    port: int
    lines: tuple[str, ...]
    tls: bool


class Sockets:
    def __init__(
        self,
        routes: Sequence[Route],
        ports: Sequence[int],
        http_port: int,
        https_port: int,
        *,
        ipv6: bool,
        http2: bool,
    ) -> None:
        """`ports`: the public ones that are opened."""
        self._ports = ports
        self._shared = (http_port, https_port)
        self._ipv6 = ipv6
        self._http2 = http2
        self._wires: dict[int, Wire] = {http_port: "http", https_port: "tls"}
        self._apps: dict[int, set[str]] = {}
        self._bound: dict[int, set[str]] = {}
        """Public port -> the single addresses that some app is bound to there."""
        for route in routes:
            four, six = _addresses(route)
            for listen in route.listens:
                if route.certificate is None and listen.scheme in TLS_SCHEMES:
                    continue
                self._wires.setdefault(listen.port, wire(listen.scheme))
                self._apps.setdefault(listen.port, set()).add(route.app)
                self._bound.setdefault(listen.port, set()).update(address for address in (four, six) if address)

    def serves(self, listen: Listen) -> bool:
        """Whether the port speaks what the map wants: the first app on a port decides."""
        return self._wires[listen.port] == wire(listen.scheme)

    def seen_by(self, route: Route) -> Hashable:
        """All that an app's servers take from here."""
        ports = tuple(
            (self._wires.get(each.port), len(self._apps.get(each.port, ())) == 1, *self._addresses_of(each.port))
            for each in route.listens
        )
        return ports, self._shared, self._ipv6, self._http2

    def is_default(self, listen: Listen) -> bool:
        """Whether the app gets requests for any hostname there: it is alone, on a port of its own."""
        return listen.port not in self._shared and len(self._apps[listen.port]) == 1

    def lines(self, route: Route, listen: Listen, *, default: bool) -> tuple[str, ...]:
        """What follows `listen` in an app's server."""
        four, six = _addresses(route)
        return self._lines(listen.port, four, six, default)

    def closed(self) -> list[Closed]:
        """The servers for hostnames nobody has, on the ports that are not one app's alone."""
        return [
            Closed(port, self._lines(port, "", "", default=True), self._wires[port] == "tls")
            for port in self._ports
            if port in self._shared or len(self._apps.get(port, ())) != 1
        ]

    def _lines(self, port: int, four: str, six: str, default: bool) -> tuple[str, ...]:
        number, spoken = PLACE.format(port=port), self._wires[port]
        options = " ssl" if spoken == "tls" else ""
        options += " http2" if spoken == "h2c" or (spoken == "tls" and self._http2) else ""
        options += " default_server" if default else ""
        bound = self._addresses_of(port)
        where = [f"{four}:{number}"] if four else [number, *(f"{a}:{number}" for a in bound if ":" not in a)]
        if self._ipv6:
            others = [six] if six else ["::", *(a for a in bound if ":" in a)]
            where += [f"[{address}]:{number}" for address in others]
        return tuple(place + options for place in where)

    def _addresses_of(self, port: int) -> list[str]:
        return sorted(self._bound.get(port, ()))


def _addresses(route: Route) -> tuple[str, str]:
    """The IPv4 and the IPv6 address an app is bound to; '' where it is all of them."""
    four, six = (route.settings.get(key) or BY_KEY[key].default for key in ("bind-address-ipv4", "bind-address-ipv6"))
    return ("" if four == "0.0.0.0" else four), ("" if six == "::" else six)
