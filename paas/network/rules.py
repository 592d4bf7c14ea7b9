"""The one table: whole from the wanted state, or changed piece by piece. Text in, text out.

    services    virtual address . port   -> a chain that spreads new connections over the instances
    links       container . virtual address of an app on the same network, which it reaches on all ports (hosts)
    forwards    host port                -> address . port of an instance
    forwards_on host address . host port -> the same, for that address of the host alone
    proxy       public port              -> the local port of the nginx that is current

Maps and sets keep the cost of a packet the same however many apps there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Literal

Backend = tuple[IPv4Address, int]

METADATA = "{ 100.100.100.200, 168.63.129.16, 169.254.0.0/16 }"
"""Where clouds answer questions about a machine: Alibaba, Azure, everybody else."""


@dataclass(frozen=True, slots=True)
class Forward:
    protocol: Literal["tcp", "udp"]
    host_port: int
    address: IPv4Address
    port: int
    on: IPv4Address | None = None
    """The host's address that it holds on; None for all."""


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What the table is to do."""

    services: Mapping[IPv4Address, Mapping[int, Sequence[Backend]]] = field(default_factory=dict)
    forwards: Sequence[Forward] = ()
    proxy: Mapping[int, int] = field(default_factory=dict)
    hosts: Mapping[IPv4Address, Sequence[IPv4Address]] = field(default_factory=dict)
    """Virtual address -> instances, for whoever is linked to it: all ports."""
    links: frozenset[tuple[IPv4Address, IPv4Address]] = frozenset()
    """(container, virtual address)"""


@dataclass(frozen=True, slots=True)
class Frame:
    """What does not change while the engine runs."""

    table: str
    link_prefix: str
    instance_network: str
    service_network: str
    proxy_ports: tuple[int, int]


def whole(frame: Frame, state: NetworkState) -> str:
    """Replace the table, in one transaction: no packet sees a gap."""
    name = f"inet {frame.table}"
    parts = [f"add table {name}", f"delete table {name}", _skeleton(frame)]
    for address, ports in state.services.items():
        parts.append(set_service(frame, address, {}, ports))
    parts.append(set_forwards(frame, state.forwards))
    parts.append(set_proxy(frame, state.proxy))
    parts.append(set_linked(frame, NetworkState(), state))
    return "\n".join(parts)


def set_service(
    frame: Frame,
    address: IPv4Address,
    before: Mapping[int, Sequence[Backend]],
    after: Mapping[int, Sequence[Backend]],
) -> str:
    """Point new connections to a virtual address at other instances; nothing ("") when they are the same.

    A port without any instance refuses connections.
    """
    name, lines = f"inet {frame.table}", list[str]()
    for port in sorted({*before, *after}):
        chain, key = f"s_{address}_{port}".replace(".", "_"), f"{address} . {port}"
        old, new = list(before.get(port, ())), list(after.get(port, ()))
        if new == old:
            continue
        if new:
            lines += [f"add chain {name} {chain}", f"flush chain {name} {chain}"]
            lines.append(f"add rule {name} {chain} {_spread(new)}")
            if not old:
                lines.append(f"add element {name} services {{ {key} : goto {chain} }}")
        elif old:
            lines.append(f"delete element {name} services {{ {key} : goto {chain} }}")
            lines += [f"flush chain {name} {chain}", f"delete chain {name} {chain}"]
    return "\n".join(lines)


def set_forwards(frame: Frame, forwards: Sequence[Forward]) -> str:
    """Replace all forwarded ports."""
    name = f"inet {frame.table}"
    lines = [f"flush map {name} forwards", f"flush map {name} forwards_on"]
    anywhere = [f"{f.protocol} . {f.host_port} : {f.address} . {f.port}" for f in forwards if f.on is None]
    on_one = [f"{f.on} . {f.protocol} . {f.host_port} : {f.address} . {f.port}" for f in forwards if f.on is not None]
    for map, entries in (("forwards", anywhere), ("forwards_on", on_one)):
        if entries:
            lines.append(f"add element {name} {map} {{ {', '.join(entries)} }}")
    return "\n".join(lines)


def set_proxy(frame: Frame, ports: Mapping[int, int]) -> str:
    """Replace all public ports."""
    name = f"inet {frame.table}"
    lines = [f"flush map {name} proxy"]
    if ports:
        entries = ", ".join(f"{public} : {local}" for public, local in sorted(ports.items()))
        lines.append(f"add element {name} proxy {{ {entries} }}")
    return "\n".join(lines)


def set_linked(frame: Frame, before: NetworkState, after: NetworkState) -> str:
    """Change which containers reach which virtual addresses on all ports; nothing ("") when it is the same."""
    name, lines = f"inet {frame.table}", list[str]()
    for address in sorted({*before.hosts, *after.hosts}):
        chain = f"h_{address}".replace(".", "_")
        old, new = list(before.hosts.get(address, ())), list(after.hosts.get(address, ()))
        if new == old:
            continue
        if new:
            lines += [f"add chain {name} {chain}", f"flush chain {name} {chain}"]
            lines.append(f"add rule {name} {chain} {_spread_hosts(new)}")
            if not old:
                lines.append(f"add element {name} hosts {{ {address} : goto {chain} }}")
        else:
            lines.append(f"delete element {name} hosts {{ {address} : goto {chain} }}")
            lines += [f"flush chain {name} {chain}", f"delete chain {name} {chain}"]
    for verb, pairs in (("delete", before.links - after.links), ("add", after.links - before.links)):
        if pairs:
            entries = ", ".join(f"{container} . {address}" for container, address in sorted(pairs))
            lines.append(f"{verb} element {name} links {{ {entries} }}")
    return "\n".join(lines)


def _spread_hosts(backends: Sequence[IPv4Address]) -> str:
    if len(backends) == 1:
        return f"dnat ip to {backends[0]}"
    entries = ", ".join(f"{i} : {address}" for i, address in enumerate(backends))
    return f"dnat ip to numgen inc mod {len(backends)} map {{ {entries} }}"


def _spread(backends: Sequence[Backend]) -> str:
    if len(backends) == 1:
        address, port = backends[0]
        return f"meta l4proto tcp dnat ip to {address}:{port}"
    entries = ", ".join(f"{i} : {address} . {port}" for i, (address, port) in enumerate(backends))
    return f"meta l4proto tcp dnat ip to numgen inc mod {len(backends)} map {{ {entries} }}"


def _skeleton(frame: Frame) -> str:
    ours = f'"{frame.link_prefix}*"'
    low, high = frame.proxy_ports
    return f"""
table inet {frame.table} {{
    map services {{
        type ipv4_addr . inet_service : verdict
    }}
    map forwards {{
        type inet_proto . inet_service : ipv4_addr . inet_service
    }}
    map forwards_on {{
        type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    }}
    map proxy {{
        type inet_service : inet_service
    }}

    map hosts {{
        type ipv4_addr : verdict
    }}
    set links {{
        type ipv4_addr . ipv4_addr
    }}

    chain to_services {{
        ip daddr . tcp dport vmap @services
    }}
    chain to_linked {{
        ip daddr . tcp dport vmap @services
        ip daddr vmap @hosts
    }}
    chain to_host {{
        tcp dport {low}-{high} return
        dnat ip to ip daddr . meta l4proto . th dport map @forwards_on
        dnat ip to meta l4proto . th dport map @forwards
        # A redirect takes the address of the interface packets came by, and the host's end of a link has none.
        iifname {ours} meta l4proto tcp dnat ip to 127.0.0.1:tcp dport map @proxy
        meta l4proto tcp redirect to :tcp dport map @proxy
    }}

    chain spoofed {{
        type filter hook prerouting priority raw; policy accept;
        iifname != {ours} return
        # Links have route_localnet, so the kernel itself would not keep loopback addresses from coming in.
        ip daddr 127.0.0.0/8 drop
        # rp_filter says the same, unless udev gives new interfaces the host's own value just after us.
        fib saddr . iif oif missing drop
    }}
    chain prerouting {{
        type nat hook prerouting priority dstnat; policy accept;
        ip saddr . ip daddr @links goto to_linked
        ip daddr {frame.service_network} return
        fib daddr type local goto to_host
    }}
    chain output {{
        type nat hook output priority -100; policy accept;
        ip daddr {frame.service_network} goto to_services
        fib daddr type local goto to_host
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname {ours} ip saddr 127.0.0.0/8 masquerade
        oifname {ours} ip saddr {frame.instance_network} ct status dnat masquerade
        ip saddr {frame.instance_network} oifname != {ours} masquerade
    }}

    chain input {{
        type filter hook input priority filter; policy accept;
        ct state established,related accept
        ip daddr {frame.service_network} meta l4proto tcp reject with tcp reset
        iifname != "lo" tcp dport {low}-{high} ct status & dnat == 0 drop
        iifname {ours} goto from_containers
    }}
    chain from_containers {{
        ct status dnat accept
        icmp type echo-request accept
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
        meta l4proto tcp reject with tcp reset
        drop
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname != {ours} oifname != {ours} return
        ct state established,related accept
        # Clouds tell secrets there; some have their name server on the same address.
        iifname {ours} ip daddr {METADATA} meta l4proto != {{ tcp, udp }} drop
        iifname {ours} ip daddr {METADATA} th dport != 53 drop
        iifname {ours} oifname {ours} ct status dnat accept
        iifname {ours} oifname {ours} drop
        # An address that no container has at present: without a link it would go the way of everything else, outside.
        iifname {ours} ip daddr {frame.instance_network} meta l4proto tcp reject with tcp reset
        iifname {ours} ip daddr {frame.instance_network} drop
        iifname {ours} accept
        ct status dnat accept
        drop
    }}
}}"""
