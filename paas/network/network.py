"""The network as a whole: what it is to do now, and changes to that as single transactions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from paas.errors import SystemFailure
from paas.network import rules
from paas.network.links import Links
from paas.network.nft import Nft
from paas.network.rules import Backend, Forward, Frame, NetworkState
from paas.settings import Settings

log = logging.getLogger(__name__)


class Network:
    """Thread-safe. `setup` and `restore` come first."""

    def __init__(self, settings: Settings) -> None:
        self._frame = Frame(
            settings.nft_table,
            settings.link_prefix,
            settings.instance_network,
            settings.service_network,
            settings.proxy_port_range,
        )
        self._lock = threading.Lock()
        self._nft = Nft()
        self._links = Links(settings.link_prefix)
        self._state = NetworkState()
        self._forwards: dict[str, tuple[Forward, ...]] = {}
        """By whose they are."""
        self._restored = False

    def setup(self) -> None:
        """Kernel settings and the route to virtual addresses. Raises SystemFailure where it cannot go on."""
        _set_kernel("net/ipv4/ip_forward", "1")
        # One virtual address takes one connection per source port: ports in TIME_WAIT must be used again.
        _set_kernel("net/ipv4/tcp_tw_reuse", "1", needed=False)
        self._links.route_locally(self._frame.service_network)

    def restore(self, state: NetworkState) -> None:
        """Replace the whole table by one that does this; its forwards are those of apps, others' were set before."""
        with self._lock:
            self._forwards = {**self._forwards, "apps": tuple(state.forwards)}
            self._restored = True
            state = replace(state, forwards=self._merged())
            self._nft.run(rules.whole(self._frame, state))
            self._state = state

    def connect(self, netns: Path, link: str, address: IPv4Address) -> None:
        """Give a network namespace (a file that pins it) the address, over a link with this name on the host."""
        self._links.add(netns, link, address)

    def disconnect(self, link: str) -> None:
        """Remove a link; harmless when it is not there."""
        self._links.remove(link)

    def set_service(self, address: IPv4Address, ports: Mapping[int, Sequence[Backend]]) -> None:
        """From now on new connections to the virtual address's ports go to these instances, in turn."""
        wanted = {port: tuple(backends) for port, backends in ports.items()}
        with self._lock:
            before = self._state.services.get(address, {})
            services = {**self._state.services, address: wanted}
            self._change(
                rules.set_service(self._frame, address, before, wanted), replace(self._state, services=services)
            )

    def remove_service(self, address: IPv4Address) -> None:
        """Refuse connections to the virtual address from now on; harmless when it is not known."""
        with self._lock:
            services = dict(self._state.services)
            before = services.pop(address, {})
            self._change(rules.set_service(self._frame, address, before, {}), replace(self._state, services=services))

    def set_forwards(self, forwards: Sequence[Forward], owner: str = "apps") -> None:
        """The host ports that lead straight to the containers of this owner; those of others stay.

        Set before `restore`, they come into force with it.
        """
        with self._lock:
            self._forwards[owner] = tuple(forwards)
            merged = self._merged()
            if self._restored and merged != tuple(self._state.forwards):
                self._change(rules.set_forwards(self._frame, merged), replace(self._state, forwards=merged))

    def set_proxy(self, ports: Mapping[int, int]) -> None:
        """Public port -> local port of the nginx that takes new connections."""
        with self._lock:
            if dict(ports) != dict(self._state.proxy):
                self._change(rules.set_proxy(self._frame, ports), replace(self._state, proxy=dict(ports)))

    def set_linked(
        self, hosts: Mapping[IPv4Address, Sequence[IPv4Address]], links: frozenset[tuple[IPv4Address, IPv4Address]]
    ) -> None:
        """Virtual address -> instances, and the (container, virtual address) that may speak to each other."""
        with self._lock:
            after = replace(self._state, hosts=dict(hosts), links=links)
            self._change(rules.set_linked(self._frame, self._state, after), after)

    def _merged(self) -> tuple[Forward, ...]:
        """Each port once: an element given twice would have nft refuse them all."""
        found: dict[tuple[str, IPv4Address | None, int], Forward] = {}
        for forwards in self._forwards.values():
            for forward in forwards:
                found.setdefault((forward.protocol, forward.on, forward.host_port), forward)
        return tuple(found.values())

    def _change(self, commands: str, state: NetworkState) -> None:
        """The table is made anew where the change does not fit: somebody else may have flushed it."""
        try:
            if commands:
                self._nft.run(commands)
        except SystemFailure as error:
            log.warning("%s; making the table anew", error.message)
            self._nft.run(rules.whole(self._frame, state))
        self._state = state

    def teardown(self) -> None:
        """Remove the table, the route and all links."""
        with self._lock:
            name = f"inet {self._frame.table}"
            self._nft.run(f"add table {name}\ndelete table {name}")
        for link in self._links.names():
            self._links.remove(link)
        self._links.unroute(self._frame.service_network)

    def close(self) -> None:
        """Let go of what this process holds; the host's network stays as it is."""
        self._links.close()


def _set_kernel(path: str, value: str, *, needed: bool = True) -> None:
    file = Path("/proc/sys", path)
    try:
        if file.read_text().strip() != value:
            file.write_text(value)
    except OSError as error:
        message = f"{path.replace('/', '.')} cannot be set to {value}: {error.strerror}"
        if needed:
            raise SystemFailure(message) from error
        log.warning("%s", message)
