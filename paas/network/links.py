"""veth links: one end on the host, routed; the other is `eth0` in a container's network namespace."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar

from paas.errors import SystemFailure
from paas.network.addresses import GATEWAY
from paas.network.conntrack import forget_datagrams
from paas.network.netlink import NetlinkError
from paas.network.worker import NetlinkWorker

_SCOPE_LINK = 253
_PERMANENT = 0x80
"""NUD_PERMANENT: a neighbour that needs no ARP."""
_ETHERNET_MTU = 1500
_HOST_END = "02:70:00:00:00:01"
"""Hardware address of every link's end on the host; each link is a wire of its own."""
_LOCAL = {"table": 255, "type": "local", "scope": 254}
"""A route of the local table: its addresses are the host's own (ip route add local ... table local)."""
_T = TypeVar("_T")


class Links:
    """Thread-safe. Errors are SystemFailure."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._worker = NetlinkWorker()

    def add(self, netns: Path, name: str, address: IPv4Address) -> None:
        """Connect a network namespace (a file to open), in place of what had the link's name. All or nothing."""

        def job(route: Any) -> None:
            descriptor = os.open(netns, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _remove(route, name)
                _make(route, descriptor, name, address)
                self._worker.inside(descriptor, lambda inside: _container_side(inside, address))
                # Last, because a packet sent before the link carries any is lost, and its sender waits a second.
                _lead_to(route, name, address)
            except BaseException:
                _remove(route, name)
                raise
            finally:
                os.close(descriptor)

        self._run(job, f"The network link {name} cannot be made")

    def remove(self, name: str) -> None:
        """Remove a link; nothing happens when it is not there."""
        self._run(lambda route: _remove(route, name), f"The network link {name} cannot be removed")

    def forget(self, address: IPv4Address) -> None:
        """Forget the flows of datagrams that this address had: the next to have it is somebody else."""
        self._run(lambda route: forget_datagrams(address), f"The kernel's flows of {address} cannot be removed")

    def names(self) -> list[str]:
        """Links with our prefix and a number."""

        def job(route: Any) -> list[str]:
            return [link.get_attr("IFLA_IFNAME") for link in route.get_links()]

        found = self._run(job, "The network links cannot be listed")
        return [name for name in found if name.startswith(self._prefix) and name[len(self._prefix) :].isdigit()]

    def route_locally(self, network: str) -> None:
        """Have the host take a whole network for its own address: what nobody answers there is refused at once."""

        def job(route: Any) -> None:
            route.route("replace", dst=network, oif=_index(route, "lo"), **_LOCAL)

        self._run(job, f"The route to {network} cannot be made")

    def unroute(self, network: str) -> None:
        """Undo `route_locally`; nothing happens when it is undone already."""

        def job(route: Any) -> None:
            try:
                route.route("del", dst=network, oif=_index(route, "lo"), **_LOCAL)
            except NetlinkError as error:
                if error.code != errno.ESRCH:
                    raise

        self._run(job, f"The route to {network} cannot be removed")

    def close(self) -> None:
        """End the thread behind this. Links stay."""
        self._worker.close()

    def _run(self, job: Callable[[Any], _T], failed: str) -> _T:
        try:
            return self._worker.run(job)
        except NetlinkError as error:
            raise SystemFailure(f"{failed}: {error.args[-1] if error.args else error}") from error
        except OSError as error:
            raise SystemFailure(f"{failed}: {error.strerror or error}") from error


def _make(route: Any, netns: int, name: str, address: IPv4Address) -> None:
    mtu = _default_mtu(route)
    peer = {"ifname": "eth0", "net_ns_fd": netns, "mtu": mtu, "address": _hardware_address(address)}
    # A hardware address of our choice is one that udev does not replace.
    route.link("add", ifname=name, kind="veth", mtu=mtu, address=_HOST_END, peer=peer)
    _tune(name)
    route.link("set", index=_index(route, name), state="up")


def _container_side(route: Any, address: IPv4Address) -> None:
    ethernet = _index(route, "eth0")
    route.link("set", index=_index(route, "lo"), state="up")
    route.addr("add", index=ethernet, address=str(address), prefixlen=32)
    route.link("set", index=ethernet, state="up")
    _introduce(route, ethernet, GATEWAY, _HOST_END)
    route.route("add", dst=f"{GATEWAY}/32", oif=ethernet, scope=_SCOPE_LINK)
    route.route("add", dst="0.0.0.0/0", gateway=str(GATEWAY), oif=ethernet)


def _lead_to(route: Any, name: str, address: IPv4Address) -> None:
    index = _index(route, name)
    _introduce(route, index, address, _hardware_address(address))
    route.route("replace", dst=f"{address}/32", oif=index, scope=_SCOPE_LINK)


def _introduce(route: Any, index: int, address: IPv4Address, hardware: str) -> None:
    """Spare both ends ARP: the gateway's address is on no interface, and one lost question costs a second."""
    route.neigh("replace", dst=str(address), lladdr=hardware, ifindex=index, state=_PERMANENT)


def _hardware_address(address: IPv4Address) -> str:
    return "02:70:" + address.packed.hex(":")


def _tune(name: str) -> None:
    for path, value in (
        (f"ipv4/conf/{name}/rp_filter", "1"),
        (f"ipv4/conf/{name}/route_localnet", "1"),  # for connections of the host's 127.0.0.1; see rules.py
        (f"ipv6/conf/{name}/disable_ipv6", "1"),
    ):
        try:
            Path("/proc/sys/net", path).write_text(value)
        except FileNotFoundError:
            if not path.startswith("ipv6"):  # a host may have no IPv6 at all
                raise


def _remove(route: Any, name: str) -> None:
    for index in route.link_lookup(ifname=name):
        try:
            route.link("del", index=index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:  # gone meanwhile, with its network namespace
                raise


def _index(route: Any, name: str) -> int:
    found = route.link_lookup(ifname=name)
    if not found:
        raise OSError(errno.ENODEV, f"there is no link {name}")
    return int(found[0])


def _default_mtu(route: Any) -> int:
    """The MTU of the way out: larger packets of containers would be cut up or dropped there."""
    for default in route.get_default_routes(family=2):
        for link in route.get_links(default.get_attr("RTA_OIF")):
            return int(link.get_attr("IFLA_MTU"))
    return _ETHERNET_MTU
