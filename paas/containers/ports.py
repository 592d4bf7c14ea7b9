"""Host ports that lead to containers: `HOST:CONTAINER[/tcp|udp]`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from paas.errors import Conflict, InvalidInput
from paas.model import PortMap
from paas.names import port_number, shown
from paas.network.hostports import check_reserved, check_silent
from paas.network.rules import Forward
from paas.settings import Settings
from paas.state import apps, containers
from paas.state.containers import ALIVE, ContainerRow
from paas.state.database import Database


def parse(text: str) -> PortMap:
    """`8080:80`, `53:53/udp`. Raises InvalidInput."""
    ports, _, protocol = text.partition("/")
    host, colon, container = ports.partition(":")
    if not colon or ":" in container or protocol.lower() not in ("", "tcp", "udp"):
        raise InvalidInput(
            f"{shown(text)} is not a port map",
            hint="Write HOST-PORT:CONTAINER-PORT, such as 8080:80 or 53:53/udp; it holds on all addresses of the host.",
        )
    return PortMap("udp" if protocol.lower() == "udp" else "tcp", port_number(host), port_number(container))


def exposed(texts: Iterable[str]) -> tuple[PortMap, ...]:
    """The maps of `-p`, none of them twice."""
    maps = tuple(dict.fromkeys(parse(text) for text in texts))
    seen: set[tuple[str, int]] = set()
    for port in maps:
        if (port.scheme, port.host) in seen:
            raise InvalidInput(f"Port {port.host} is mapped twice", hint="Choose another host port for one of them.")
        seen.add((port.scheme, port.host))
    return maps


class HostPorts:
    def __init__(self, db: Database, settings: Settings, who_listens: Callable[[int], str | None]) -> None:
        self._db = db
        self._settings = settings
        self._who_listens = who_listens

    def check_free(self, row: ContainerRow) -> None:
        """Raises Conflict, naming the holder. Called in the transaction that makes the ports this container's."""
        for new in row.ports:
            check_reserved(self._settings, new)
            for app, taken in apps.port_owners(self._db, new.host):
                if (taken.scheme == "udp") == (new.scheme == "udp"):
                    raise Conflict(f"Port {new.host} is mapped to app {app.name}", hint="Choose another host port.")
            other = containers.port_holder(self._db, new.scheme, new.host, but=row.id)
            if other is not None:
                hint = f"Choose another host port, or stop that container: stop {other.name}"
                raise Conflict(f"Port {new.host} leads to container {other.name}", hint=hint)
            check_silent(new, self._who_listens)

    def forwards(self) -> list[Forward]:
        """What the network is to do for the containers that run."""
        return [
            Forward("udp" if port.scheme == "udp" else "tcp", port.host, row.address, port.container)
            for row in containers.listing(self._db)
            if row.state in ALIVE and row.address is not None
            for port in row.ports
        ]
