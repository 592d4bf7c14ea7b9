"""veth links: one end on the host, routed; the other is `eth0` in a container's network namespace."""

from __future__ import annotations

import ctypes
import errno
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from ipaddress import IPv4Address
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from paas.errors import SystemFailure
from paas.network.addresses import GATEWAY

_CLONE_NEWNET = 0x40000000
_SCOPE_LINK = 253
_LOCAL = {"table": 255, "type": "local", "scope": 254}
"""A route of the local table: its addresses are the host's own (ip route add local ... table local)."""
_libc = ctypes.CDLL(None, use_errno=True)


class Links:
    """Thread-safe. Work inside other network namespaces happens on one thread that goes there and back."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._lock = threading.Lock()
        self._host = IPRoute()
        self._mtu = self._default_mtu()
        self._traveller = _Traveller()

    def add(self, netns: Path, name: str, address: IPv4Address) -> None:
        """Connect a network namespace. Raises SystemFailure; what was made is removed then."""
        descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._host_side(descriptor, name, address)
            self._traveller.run(descriptor, lambda: _inside(address))
        except NetlinkError as error:
            self.remove(name)
            raise SystemFailure(f"The network link {name} cannot be made: {error}") from error
        finally:
            os.close(descriptor)

    def remove(self, name: str) -> None:
        """Remove a link; nothing happens when it is not there."""
        with self._lock:
            for index in self._host.link_lookup(ifname=name):
                try:
                    self._host.link("del", index=index)
                except NetlinkError as error:
                    if error.code != errno.ENODEV:
                        raise SystemFailure(f"The network link {name} cannot be removed: {error}") from error

    def names(self) -> list[str]:
        """Links with our prefix."""
        with self._lock:
            found = [link.get_attr("IFLA_IFNAME") for link in self._host.get_links()]
        return [name for name in found if name.startswith(self._prefix) and name[len(self._prefix) :].isdigit()]

    def route_locally(self, network: str) -> None:
        """Have the host take a whole network for its own address: what nobody answers there is refused at once."""
        with self._lock:
            self._host.route("replace", dst=network, oif=self._loopback(), **_LOCAL)

    def unroute(self, network: str) -> None:
        with self._lock:
            try:
                self._host.route("del", dst=network, oif=self._loopback(), **_LOCAL)
            except NetlinkError as error:
                if error.code != errno.ESRCH:
                    raise SystemFailure(f"The route to {network} cannot be removed: {error}") from error

    def _loopback(self) -> int:
        return int(self._host.link_lookup(ifname="lo")[0])

    def close(self) -> None:
        self._host.close()

    def _host_side(self, netns: int, name: str, address: IPv4Address) -> None:
        with self._lock:
            self._host.link(
                "add",
                ifname=name,
                kind="veth",
                mtu=self._mtu,
                peer={"ifname": "eth0", "net_ns_fd": netns, "mtu": self._mtu},
            )
            index = self._host.link_lookup(ifname=name)[0]
            self._tune(name)
            self._host.link("set", index=index, state="up")
            self._host.route("replace", dst=f"{address}/32", oif=index, scope=_SCOPE_LINK)

    def _tune(self, name: str) -> None:
        """Answer for the gateway at once, and take packets only from the container's own address."""
        for path, value in (
            (f"ipv4/conf/{name}/proxy_arp", "1"),
            (f"ipv4/neigh/{name}/proxy_delay", "0"),
            (f"ipv4/conf/{name}/rp_filter", "1"),
            (f"ipv4/conf/{name}/route_localnet", "1"),
            (f"ipv6/conf/{name}/disable_ipv6", "1"),
        ):
            try:
                Path("/proc/sys/net", path).write_text(value)
            except FileNotFoundError:
                if not path.startswith("ipv6"):  # a host may have no IPv6 at all
                    raise

    def _default_mtu(self) -> int:
        for route in self._host.get_default_routes(family=2):
            links = self._host.get_links(route.get_attr("RTA_OIF"))
            for link in links:
                return int(link.get_attr("IFLA_MTU"))
        return 1500


def _inside(address: IPv4Address) -> None:
    with IPRoute() as inside:
        loopback, ethernet = inside.link_lookup(ifname="lo")[0], inside.link_lookup(ifname="eth0")[0]
        inside.link("set", index=loopback, state="up")
        inside.addr("add", index=ethernet, address=str(address), prefixlen=32)
        inside.link("set", index=ethernet, state="up")
        inside.route("add", dst=f"{GATEWAY}/32", oif=ethernet, scope=_SCOPE_LINK)
        inside.route("add", dst="0.0.0.0/0", gateway=str(GATEWAY), oif=ethernet)


class _Traveller:
    """A thread that enters network namespaces. setns(2) changes the calling thread alone."""

    def __init__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._jobs: queue.SimpleQueue[tuple[int, Callable[[], None], Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="netns", daemon=True).start()

    def run(self, netns: int, job: Callable[[], None]) -> None:
        future: Future[None] = Future()
        self._jobs.put((netns, job, future))
        future.result()

    def _work(self) -> None:
        while True:
            netns, job, future = self._jobs.get()
            try:
                _enter(netns)
                try:
                    job()
                finally:
                    _enter(self._home)
                future.set_result(None)
            except BaseException as error:  # noqa: BLE001  handed to the caller, who raises it
                future.set_exception(error)


def _enter(netns: int) -> None:
    if _libc.setns(netns, _CLONE_NEWNET) < 0:
        number = ctypes.get_errno()
        raise SystemFailure(f"A network namespace cannot be entered: {os.strerror(number)}")
