"""The network as a whole: what it is to do now, and changes to that as single transactions."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from paas.errors import SystemFailure
from paas.network import neighbours, rules
from paas.network.links import Links
from paas.network.nft import Nft
from paas.network.rules import Backend, Forward, Frame, NetworkState
from paas.network.ruleset import Ruleset
from paas.settings import Settings

log = logging.getLogger(__name__)


_OVER = 30
"""Seconds that the kernel keeps in mind a connection that is over."""
_CONNECTIONS = 262144
"""That it knows at once: its own choice for machines of more than 4 GB, some 80 MB when all are there."""


class Network:
    """Thread-safe. `setup` and `restore` come first."""

    def __init__(self, settings: Settings) -> None:
        self._frame = Frame(
            settings.nft_table,
            settings.link_prefix,
            settings.instance_network,
            settings.service_network,
            settings.proxy_port_range,
            settings.container_connections,
            max(1, settings.hold_timeout),
        )
        self._lock = threading.Lock()
        self._admitting = threading.Lock()
        self._nft = Nft()
        self._ruleset = Ruleset(Nft(json=True))
        self._table = 0
        """The kernel's number for the table that was made here."""
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
            self._make(state)
            self._state = state
        # The kernel knows its connections by one table for all, and keeps what is over for two minutes otherwise: some
        # 2,000 new connections a second fill it. Where these cannot be set, as in a container, the host's values hold.
        _bound_kernel("net/netfilter/nf_conntrack_tcp_timeout_time_wait", at_most=_OVER)
        _bound_kernel("net/netfilter/nf_conntrack_max", at_least=_CONNECTIONS)

    def connect(self, netns: Path, link: str, address: IPv4Address) -> None:
        """Give a network namespace (a file that pins it) the address, over a link with this name on the host."""
        self._links.add(netns, link, address)

    def disconnect(self, link: str, address: IPv4Address) -> None:
        """Remove a link, and what the kernel knows of its address; harmless when it is not there."""
        self._links.remove(link)
        try:
            self._links.forget(address)
        except SystemFailure as error:  # as where this part of the kernel is missing: the container ends all the same
            log.warning("%s", error.message)

    def set_service(self, address: IPv4Address, ports: Mapping[int, Sequence[Backend]], *, hold: bool = False) -> None:
        """From now on new connections to the virtual address's ports go to these instances, in turn.

        Where there is none they are refused; with `hold` they wait for a moment, as an instance will come soon.
        """
        wanted = {port: tuple(backends) for port, backends in ports.items()}
        with self._lock:
            before = self._state.services.get(address, {})
            services = {**self._state.services, address: wanted}
            others = {key for key in self._state.held if key[0] != address}
            held = frozenset(others | {(address, port) for port in wanted if hold and not wanted[port]})
            commands = [
                rules.set_held(self._frame, self._state.held, held),
                rules.set_service(self._frame, address, before, wanted),
            ]
            self._change("\n".join(filter(None, commands)), replace(self._state, services=services, held=held))

    def missing(self) -> list[str]:
        """What the kernel's table lacks of what it is to have, in nft's words; none when all is well."""
        with self._lock:
            try:
                there = self._nft.run(f"list table inet {self._frame.table}")
            except SystemFailure:
                return [f"table inet {self._frame.table}"]
            return [words for words in rules.marks(self._state) if words not in there]

    def rebuild(self) -> None:
        """Make the whole table anew."""
        with self._lock:
            self._make(self._state)

    def remove_service(self, address: IPv4Address) -> None:
        """Refuse connections to the virtual address from now on; harmless when it is not known."""
        with self._lock:
            services = dict(self._state.services)
            before = services.pop(address, {})
            held = frozenset(key for key in self._state.held if key[0] != address)
            commands = [
                rules.set_held(self._frame, self._state.held, held),
                rules.set_service(self._frame, address, before, {}),
            ]
            self._change("\n".join(filter(None, commands)), replace(self._state, services=services, held=held))

    def set_forwards(self, forwards: Sequence[Forward], owner: str = "apps") -> None:
        """The host ports that lead straight to the containers of this owner; those of others stay.

        Set before `restore`, they come into force with it.
        """
        with self._lock:
            self._forwards[owner] = tuple(forwards)
            merged = self._merged()
            if merged != tuple(self._state.forwards):
                commands = rules.set_forwards(self._frame, self._state.forwards, merged)
                self._change(commands, replace(self._state, forwards=merged))

    def set_proxy(self, ports: Mapping[int, int]) -> None:
        """Public port -> local port of the nginx that takes new connections."""
        with self._lock:
            if dict(ports) != dict(self._state.proxy):
                commands = rules.set_proxy(self._frame, self._state.proxy, ports)
                self._change(commands, replace(self._state, proxy=dict(ports)))

    def set_linked(
        self, hosts: Mapping[IPv4Address, Sequence[IPv4Address]], links: frozenset[tuple[IPv4Address, IPv4Address]]
    ) -> None:
        """Virtual address -> instances, and the (container, virtual address) that may speak to each other."""
        with self._lock:
            after = replace(self._state, hosts=dict(hosts), links=links)
            self._change(rules.set_linked(self._frame, self._state, after), after)

    def _merged(self) -> tuple[Forward, ...]:
        """Each port is one owner's, the first's who has it."""
        owners: dict[tuple[str, IPv4Address | None, int], str] = {}
        found = []
        for owner, forwards in self._forwards.items():
            for each in forwards:
                if owners.setdefault((each.protocol, each.on, each.host_port), owner) == owner:
                    found.append(each)
        return tuple(found)

    def _change(self, commands: str, state: NetworkState) -> None:
        """The table is made anew where the change does not fit: somebody else may have flushed it.

        Before `restore` nothing is changed: there may be the table of a former engine, which serves until then.
        """
        if not self._restored:
            return
        try:
            if commands:
                self._nft.run(commands)
        except SystemFailure as error:
            log.warning("%s; making the table anew", error.message)
            self._make(state)
        self._state = state

    def _make(self, state: NetworkState) -> None:
        self._nft.run(rules.whole(self._frame, state))
        self._table = self._ruleset.tables().get(("inet", self._frame.table), 0)

    def repair(self) -> bool:
        """Make the table anew when it is not the one that was made here: somebody has flushed all rules, or loaded
        what they had saved of an earlier one. Returns whether that was so."""
        with self._lock:
            if not self._restored or self._ruleset.tables().get(("inet", self._frame.table)) == self._table:
                return False
            self._make(self._state)
            return True

    def admit(self) -> list[str]:
        """Let what this table decides about pass the firewalls of others; says what stands in the way all the same."""
        with self._admitting:  # two at once would add each rule twice
            return neighbours.admit(self._ruleset, self._frame)

    def teardown(self) -> None:
        """Remove the table, the rules in other firewalls, the route and all links."""
        try:
            neighbours.withdraw(self._ruleset, self._frame)
        except SystemFailure as error:  # what is ours goes all the same
            log.warning("the rules in other firewalls stay: %s", error.message)
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


def _bound_kernel(path: str, *, at_least: int = 0, at_most: int = 1 << 31) -> None:
    file = Path("/proc/sys", path)
    try:
        value = int(file.read_text())
        if (wanted := max(at_least, min(value, at_most))) != value:
            file.write_text(str(wanted))
    except OSError as error:
        log.info("%s stays as it is: %s", path.replace("/", "."), error.strerror)
