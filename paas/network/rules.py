"""The one table: whole from the wanted state, or changed piece by piece. Text in, text out.

    services    virtual address . port   -> a chain that spreads new connections over the instances
    links       container . virtual address of an app on the same network, which it reaches on all ports (hosts)
    forwards    host port                -> a chain that spreads new connections over instances
    forwards_on host address . host port -> the same, for that address of the host alone
    proxy       public port              -> a chain that leads to the local port of the nginx that is current
    held        virtual address . port   that has no instance for a moment: who comes waits (see waiting.py)

Maps and sets keep the cost of a packet the same however many apps there are. What changes while connections come is the
one rule of a chain, never the element that leads there: kernels before 6.17 may find neither the old nor the new
element of a map for the blink in which a transaction takes effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Literal

from paas.network import waiting

Backend = tuple[IPv4Address, int]

METADATA = "{ 100.100.100.200, 168.63.129.16, 169.254.0.0/16 }"
"""Where clouds answer questions about a machine: Alibaba, Azure, everybody else."""


@dataclass(frozen=True, slots=True)
class Forward:
    """Several of one port: new connections go to each in turn."""

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
    held: frozenset[Backend] = frozenset()
    """Ports of virtual addresses at which who comes waits a moment for an instance."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What does not change while the engine runs."""

    table: str
    link_prefix: str
    instance_network: str
    service_network: str
    proxy_ports: tuple[int, int]
    connections: int
    """Of one container at once; what it would begin beyond that is dropped."""
    hold: int = 10
    """Seconds that connections wait for an instance."""


def whole(frame: Frame, state: NetworkState) -> str:
    """Replace the table, in one transaction: no packet sees a gap."""
    name = f"inet {frame.table}"
    parts = [f"add table {name}", f"delete table {name}", _skeleton(frame)]
    for address, ports in state.services.items():
        parts.append(set_service(frame, address, {}, ports))
    parts.append(set_forwards(frame, (), state.forwards))
    parts.append(set_proxy(frame, {}, state.proxy))
    parts.append(set_linked(frame, NetworkState(), state))
    parts.append(set_held(frame, frozenset(), state.held))
    return "\n".join(parts)


def marks(state: NetworkState) -> list[str]:
    """Words that nft's listing of the table has when it does all this."""
    found = list[str]()
    for public, local in state.proxy.items():
        found += [f"{public} : goto p_{public}", f"redirect to :{local}"]
    for address, ports in state.services.items():
        for port, backends in ports.items():
            if backends:
                found.append(f"{address} . {port} : goto {_chain(address, port)}")
                found += [str(backend) for backend, _ in backends]
    for key, leads_to in _by_port(state.forwards).items():
        found.append(f"{key[1]} : goto {_forward_chain(*key)}")
        found += [str(address) for address, _ in leads_to]
    return found


def _chain(address: IPv4Address, port: int) -> str:
    return f"s_{address}_{port}".replace(".", "_")


def set_service(
    frame: Frame,
    address: IPv4Address,
    before: Mapping[int, Sequence[Backend]],
    after: Mapping[int, Sequence[Backend]],
) -> str:
    """Point new connections to a virtual address at other instances; nothing ("") when they are the same.

    A port without any instance refuses connections.
    """
    lines = list[str]()
    for port in sorted({*before, *after}):
        chain, key = _chain(address, port), f"{address} . {port}"
        old, new = list(before.get(port, ())), list(after.get(port, ()))
        if new != old:
            rules = [_spread(new, "tcp")] if new else []
            lines += _set_chain(frame, chain, "services", key, rules, known=bool(old))
    return "\n".join(lines)


def set_forwards(frame: Frame, before: Sequence[Forward], after: Sequence[Forward]) -> str:
    """Change forwarded ports; nothing ("") when they are the same."""
    old, new = _by_port(before), _by_port(after)
    lines = list[str]()
    for key in sorted({*old, *new}):
        if old.get(key) == new.get(key):
            continue
        protocol, port, on = key
        name = _forward_chain(protocol, port, on)
        map = "forwards_on" if on else "forwards"
        element = f"{on} . {protocol} . {port}" if on else f"{protocol} . {port}"
        rules = [_spread(new[key], protocol)] if key in new else []
        lines += _set_chain(frame, name, map, element, rules, known=key in old)
    return "\n".join(lines)


def _forward_chain(protocol: str, port: int, on: str) -> str:
    return f"f_{on}_{protocol}_{port}".replace(".", "_") if on else f"f_{protocol}_{port}"


def _by_port(forwards: Sequence[Forward]) -> dict[tuple[str, int, str], list[Backend]]:
    """(protocol, host port, address of the host or '') -> where it leads."""
    found: dict[tuple[str, int, str], list[Backend]] = {}
    for each in forwards:
        found.setdefault((each.protocol, each.host_port, str(each.on or "")), []).append((each.address, each.port))
    return found


def set_proxy(frame: Frame, before: Mapping[int, int], after: Mapping[int, int]) -> str:
    """Lead public ports to other local ports; nothing ("") when they are the same."""
    lines = list[str]()
    for public in sorted({*before, *after}):
        local = after.get(public)
        if local == before.get(public):
            continue
        # A redirect takes the address of the interface packets came by, and the host's end of a link has none.
        inner = f'iifname "{frame.link_prefix}*" meta l4proto tcp dnat ip to 127.0.0.1:{local}'
        rules = [inner, f"meta l4proto tcp redirect to :{local}"] if local else []
        lines += _set_chain(frame, f"p_{public}", "proxy", str(public), rules, known=public in before)
    return "\n".join(lines)


def set_held(frame: Frame, before: frozenset[Backend], after: frozenset[Backend]) -> str:
    """Let who comes to these ports wait; what was held before goes on as long as it had left."""
    name, lines = f"inet {frame.table}", list[str]()
    for address, port in sorted(before - after):
        # It may be over by itself: adding what is there does nothing, and then it can be deleted in any case.
        lines.append(f"add element {name} held {{ {address} . {port} }}")
        lines.append(f"delete element {name} held {{ {address} . {port} }}")
    for address, port in sorted(after - before):
        lines.append(f"add element {name} held {{ {address} . {port} timeout {frame.hold}s }}")
    return "\n".join(lines)


def _set_chain(frame: Frame, chain: str, map: str, element: str, rules: Sequence[str], *, known: bool) -> list[str]:
    """A chain that an element of a verdict map leads to; without rules both go. `known`: both are there."""
    name = f"inet {frame.table}"
    if rules:
        lines = [f"add chain {name} {chain}", f"flush chain {name} {chain}"]
        lines += [f"add rule {name} {chain} {rule}" for rule in rules]
        return lines if known else [*lines, f"add element {name} {map} {{ {element} : goto {chain} }}"]
    if not known:
        return []
    lines = [f"delete element {name} {map} {{ {element} : goto {chain} }}"]
    return [*lines, f"flush chain {name} {chain}", f"delete chain {name} {chain}"]


def set_linked(frame: Frame, before: NetworkState, after: NetworkState) -> str:
    """Change which containers reach which virtual addresses on all ports; nothing ("") when it is the same."""
    name, lines = f"inet {frame.table}", list[str]()
    for address in sorted({*before.hosts, *after.hosts}):
        chain = f"h_{address}".replace(".", "_")
        old, new = list(before.hosts.get(address, ())), list(after.hosts.get(address, ()))
        if new != old:
            rules = [_spread_hosts(new)] if new else []
            lines += _set_chain(frame, chain, "hosts", str(address), rules, known=bool(old))
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


def _spread(backends: Sequence[Backend], protocol: str) -> str:
    if len(backends) == 1:
        address, port = backends[0]
        return f"meta l4proto {protocol} dnat ip to {address}:{port}"
    entries = ", ".join(f"{i} : {address} . {port}" for i, (address, port) in enumerate(backends))
    return f"meta l4proto {protocol} dnat ip to numgen inc mod {len(backends)} map {{ {entries} }}"


def _skeleton(frame: Frame) -> str:
    ours = f'"{frame.link_prefix}*"'
    low, high = frame.proxy_ports
    return f"""
table inet {frame.table} {{
    map services {{
        type ipv4_addr . inet_service : verdict
    }}
    map forwards {{
        type inet_proto . inet_service : verdict
    }}
    map forwards_on {{
        type ipv4_addr . inet_proto . inet_service : verdict
    }}
    map proxy {{
        type inet_service : verdict
    }}
    map hosts {{
        type ipv4_addr : verdict
    }}
    set links {{
        type ipv4_addr . ipv4_addr
    }}
{waiting.sets(frame.hold)}
    set connections {{
        type ipv4_addr
        size 65535
        flags dynamic
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
        ip daddr . meta l4proto . th dport vmap @forwards_on
        meta l4proto . th dport vmap @forwards
        tcp dport vmap @proxy
    }}

    chain spoofed {{
        type filter hook prerouting priority raw; policy accept;
        iifname != {ours} return
        # Links have route_localnet, so the kernel itself would not keep loopback addresses from coming in.
        ip daddr 127.0.0.0/8 drop
        # rp_filter says the same, unless udev gives new interfaces the host's own value just after us.
        fib saddr . iif oif missing drop
    }}
    chain crowded {{
        type filter hook prerouting priority mangle; policy accept;
        # The kernel has one table of connections for all: whoever fills it cuts everybody off.
        iifname {ours} ct state new add @connections {{ ip saddr ct count over {frame.connections} }} drop
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

{waiting.chains(frame.proxy_ports)}

    chain input {{
        type filter hook input priority filter; policy accept;
        {waiting.refusals(ours, frame.service_network)}
        ct state established,related accept
        ip daddr . tcp dport @held goto wait
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
