"""Ports: which host port leads to which port of an app's web process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from paas.errors import Conflict, InvalidInput, NotFound, Taken
from paas.model import WEB_SCHEMES, ImageConfig, PortMap
from paas.names import port_number, shown
from paas.network.hostports import check_reserved, check_silent
from paas.proxy.sockets import wire
from paas.settings import Settings
from paas.state import apps, containers
from paas.state.apps import App
from paas.state.database import Database

DEFAULT_PORT = 5000
"""What PORT is for an image that exposes no port, or more than one."""


def parse(text: str) -> PortMap:
    """`scheme:host:container`, or `host:container` for http."""
    scheme, *numbers = text.split(":") if text.count(":") == 2 else ("http", *text.split(":"))
    if len(numbers) != 2 or scheme not in (*WEB_SCHEMES, "tcp", "udp"):
        raise InvalidInput(
            f"{shown(text)} is not a port map",
            hint="Write SCHEME:HOST-PORT:CONTAINER-PORT, such as http:80:3000 or tcp:5432:5432."
            " Schemes: http, https, grpc, grpcs, tcp, udp.",
        )
    return PortMap(scheme, port_number(numbers[0]), port_number(numbers[1]))  # type: ignore[arg-type]


class Ports:
    def __init__(self, db: Database, settings: Settings, who_listens: Callable[[int], str | None]) -> None:
        self._db = db
        self._settings = settings
        self._who_listens = who_listens

    def own(self, app: App) -> list[PortMap]:
        return apps.ports(self._db, app.id)

    def with_added(self, app: App, maps: Iterable[PortMap]) -> list[PortMap]:
        """The app's own maps and these, after checking that they are free. Raises Conflict."""
        present = {(p.scheme, p.host): p for p in self.own(app)}
        for new in maps:
            if (new.scheme, new.host) in present:
                raise Conflict(
                    f"{new.scheme}:{new.host} is mapped already, by {present[new.scheme, new.host]}",
                    hint=f"Remove it first: ports:remove {app.name} {new.scheme}:{new.host}",
                )
            self._check_free(app, new)
            present[new.scheme, new.host] = new
        return list(present.values())

    def exactly(self, app: App, maps: Iterable[PortMap]) -> list[PortMap]:
        """These maps alone, after checking that they are free. Raises Conflict."""
        found: dict[int, PortMap] = {}
        present = self.own(app)
        for new in maps:
            if (other := found.setdefault(2 * new.host + (new.scheme == "udp"), new)) is not new:
                raise Conflict(f"{new} and {other} have the same host port", hint="Choose another host port.")
            if new not in present:
                self._check_free(app, new, instead=True)
        return list(found.values())

    def check_public(self, app: App, wanted: PortMap) -> None:
        """Raises Conflict for a port that cannot become the one an app is served on."""
        self._check_free(app, wanted)

    def without(self, app: App, words: Iterable[str]) -> list[PortMap]:
        """The app's own maps less those named as `host`, `scheme:host` or `scheme:host:container`."""
        present = self.own(app)
        for word in words:
            gone = [p for p in present if word in (str(p.host), f"{p.scheme}:{p.host}", str(p))]
            if not gone:
                raise NotFound(
                    f"{app.name} has no port map {shown(word)}",
                    hint="It has: " + (" ".join(map(str, present)) or "none of its own"),
                )
            present = [p for p in present if p not in gone]
        return present

    def replace(self, app: App, maps: Sequence[PortMap]) -> None:
        """Let the app have exactly these, after checking that they are free. Raises Conflict."""
        present = self.own(app)
        for new in maps:
            if new not in present:
                self._check_free(app, new, instead=True)
        self.save(app, maps)

    def save(self, app: App, maps: Iterable[PortMap]) -> None:
        apps.set_ports(self._db, app.id, maps)

    def _check_free(self, app: App, new: PortMap, *, instead: bool = False) -> None:
        """`instead`: of all that the app maps now."""
        check_reserved(self._settings, new)
        protocol = "udp" if new.scheme == "udp" else "tcp"
        for container in containers.port_holders(self._db, new.host):
            if protocol not in [port.scheme for port in container.ports if port.host == new.host]:
                continue
            raise _taken(new, "leads to a container", f"leads to container {container.name}")
        for owner, taken in apps.port_owners(self._db, new.host):
            same_protocol = (taken.scheme == "udp") == (new.scheme == "udp")
            shared = taken.is_web and new.is_web and wire(taken.scheme) == wire(new.scheme)
            if same_protocol and not shared and owner.id != app.id:
                raise _taken(new, "is mapped to another app", f"is mapped to app {owner.name}", owner.name)
            if same_protocol and owner.id == app.id and taken.scheme != new.scheme and not instead:
                raise Conflict(f"Port {new.host} is mapped already, by {taken}", hint="Choose another host port.")
        shared_ports = (self._settings.http_port, self._settings.https_port)
        mapped_already = bool(apps.port_owners(self._db, new.host)) or new.host in shared_ports
        if not mapped_already:
            check_silent(new, self._who_listens)


def _taken(port: PortMap, text: str, named: str, owner: str = "") -> Taken:
    begin = f"Port {port.host} "
    return Taken(begin + text, begin + named, owner=owner, hint="Choose another host port.")


def effective(own: Sequence[PortMap], image: ImageConfig, http_port: int) -> list[PortMap]:
    """The maps of a release: the app's own, and its hostnames' http port unless that is mapped explicitly."""
    if any(p.is_web and p.host == http_port for p in own):
        return list(own)
    return [PortMap("http", http_port, web_port(own, image)), *own]


def web_port(maps: Iterable[PortMap], image: ImageConfig) -> int:
    """The port a web process listens on: its first http or grpc map's, else the image's one EXPOSEd port, else 5000."""
    for port in maps:
        if port.is_web:
            return port.container
    exposed = [int(port.removesuffix("/tcp")) for port in image.exposed_ports if port.endswith("/tcp")]
    return exposed[0] if len(exposed) == 1 else DEFAULT_PORT
