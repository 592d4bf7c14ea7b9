"""Host ports that lead to containers: `[[ADDRESS:]HOST:]CONTAINER[/tcp|udp]`."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Literal

from paas.errors import Conflict, InvalidInput
from paas.model import PortMap
from paas.names import port_number, shown
from paas.network.hostports import check_reserved, check_silent
from paas.network.rules import Forward
from paas.settings import Settings
from paas.state import apps, containers
from paas.state.containers import ALIVE, ContainerRow
from paas.state.database import Database

_HINT = "Examples: 8080:80, 53:53/udp, 127.0.0.1:8080:80, 8000-8002:80-82; 80 alone takes a free port of the host."
_MOST = 1000
_RANDOM = range(49152, 65536)
"""Host ports that are taken when none is asked for: nobody has them for his own (RFC 6335)."""
_TRIES = 200


def parse(text: str) -> list[PortMap]:
    """`8080:80`, `53:53/udp`, `127.0.0.1:8080:80`, `8000-8002:80-82`; `80` and `127.0.0.1::80`, whose host port (0) is
    still to be found. Raises InvalidInput."""
    ports, _, protocol = text.partition("/")
    before, _, container = ports.rpartition(":")
    address, colon, host = before.rpartition(":")
    if protocol.lower() not in ("", "tcp", "udp") or (colon and not address) or ports.startswith(":"):
        raise InvalidInput(f"{shown(text)} is not a port map", hint=_HINT)
    targets = _range(container)
    hosts = _range(host) if host else [0] * len(targets)
    if len(hosts) != len(targets):
        raise InvalidInput(f"{shown(text)} maps {len(hosts)} ports to {len(targets)}", hint="Give ranges of one size.")
    kind: Literal["tcp", "udp"] = "udp" if protocol.lower() == "udp" else "tcp"
    where = _address(address) if address else ""
    return [PortMap(kind, outer, inner, where) for outer, inner in zip(hosts, targets, strict=True)]


def _range(text: str) -> list[int]:
    first, dash, last = text.partition("-")
    low = port_number(first)
    high = port_number(last) if dash else low
    if not low <= high < low + _MOST:
        raise InvalidInput(f"{shown(text)} is no range of up to {_MOST} ports", hint="Example: 8000-8002:80-82")
    return list(range(low, high + 1))


def _address(text: str) -> str:
    """One of this host's; '' for 0.0.0.0."""
    try:
        address = IPv4Address(text)
        if address.is_unspecified:
            return ""
        with socket.socket() as probe:
            probe.bind((str(address), 0))
    except ValueError:
        raise InvalidInput(f"{shown(text)} is not an IPv4 address", hint="Example: -p 127.0.0.1:8080:80") from None
    except OSError:
        raise InvalidInput(f"{text} is no address of this host", hint="`ip address` lists them.") from None
    return str(address)


def overlap(one: PortMap, other: PortMap) -> bool:
    """Whether both cannot be in force at once."""
    return (
        one.host == other.host
        and (one.scheme == "udp") == (other.scheme == "udp")
        and (not one.address or not other.address or one.address == other.address)
    )


def exposed(texts: Iterable[str]) -> tuple[PortMap, ...]:
    """The maps of `-p`, none of them twice. Raises InvalidInput."""
    found: list[PortMap] = []
    for new in (each for text in texts for each in parse(text)):
        if new in found:
            continue
        if new.host and any(overlap(new, other) for other in found):
            raise InvalidInput(f"Port {new.host} is mapped twice", hint="Choose another host port for one of them.")
        found.append(new)
    return tuple(found)


class HostPorts:
    def __init__(self, db: Database, settings: Settings, who_listens: Callable[[int], str | None]) -> None:
        self._db = db
        self._settings = settings
        self._who_listens = who_listens

    def check_free(self, row: ContainerRow) -> None:
        """Raises Conflict, naming the holder. Called in the transaction that makes the ports this container's."""
        for new in row.ports:
            self._check(new, row.id)

    def settled(self, ports: Iterable[PortMap], expose: Iterable[str]) -> tuple[PortMap, ...]:
        """The ports with host ports for those that have none, and for all that an image exposes (`80/tcp`) besides.

        Called in the transaction that makes them a container's. Raises Conflict when none is free.
        """
        found = list(ports)
        for text in expose:
            number, _, protocol = text.partition("/")
            mapped = any((each.scheme, each.container) == (protocol, int(number)) for each in found)
            if protocol in ("tcp", "udp") and not mapped:
                found.append(PortMap("udp" if protocol == "udp" else "tcp", 0, int(number)))
        for position, port in enumerate(found):
            if not port.host:
                found[position] = self._free(port, found)
        return tuple(found)

    def _free(self, port: PortMap, others: Iterable[PortMap]) -> PortMap:
        for _ in range(_TRIES):
            chosen = replace(port, host=_RANDOM.start + secrets.randbelow(len(_RANDOM)))
            if any(overlap(chosen, other) for other in others):
                continue
            try:
                self._check(chosen, "")
            except Conflict:
                continue
            return chosen
        raise Conflict("No free port was found on this host", hint="Give one: -p HOST:CONTAINER")

    def _check(self, new: PortMap, id: str) -> None:
        check_reserved(self._settings, new)
        for app, taken in apps.port_owners(self._db, new.host):
            if overlap(taken, new):
                raise Conflict(f"Port {new.host} is mapped to app {app.name}", hint="Choose another host port.")
        for other in containers.port_holders(self._db, new.host, but=id):
            if any(overlap(taken, new) for taken in other.ports):
                hint = f"Choose another host port, or stop that container: stop {other.name}"
                raise Conflict(f"Port {new.host} leads to container {other.name}", hint=hint)
        check_silent(new, self._who_listens)

    def forwards(self) -> list[Forward]:
        """What the network is to do for the containers that run."""
        return [
            Forward(
                "udp" if port.scheme == "udp" else "tcp",
                port.host,
                row.address,
                port.container,
                IPv4Address(port.address) if port.address else None,
            )
            for row in containers.listing(self._db)
            if row.state in ALIVE and row.address is not None
            for port in row.ports
        ]
