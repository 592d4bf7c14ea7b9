"""Connections that wait in the kernel while there is nobody to take them, bounded in time and number.

A connection attempt that gets no answer at all is repeated by the one who makes it, after a second and every second
again. So it is enough to say nothing, neither yes nor no, while an answer is expected soon: the next attempt is a new
connection to the network, and goes to whoever serves by then. No process of ours has a part in it.

Nothing is said (1) for a port of a virtual address that the engine has marked as held: its lone instance is restarted.
And (2) when an instance, or an nginx, refuses a connection: its process has just ended, and the network will learn of
it in some milliseconds. That lasts `_NEWS` seconds from the first refusal, and is then over for a minute: where nobody
listens for longer, a refusal is the right answer.
"""

from __future__ import annotations

_MOST = 1024
"""Connections that wait at once, on the whole machine; further ones are refused."""
_NEWS = 2
_AGAIN = 60
_REFUSAL = "tcp flags & (fin | syn | rst | ack) == (rst | ack) tcp sequence 0"
"""The answer to a first packet where nobody listens; that of an open connection carries its number."""


def sets(hold: int) -> str:
    """`hold`: seconds that a connection waits for a held port."""
    peer = "type ipv4_addr . inet_service"
    return f"""
    set held {{
        {peer}; flags timeout
    }}
    set waiting {{
        type ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic, timeout; timeout {hold}s; size {_MOST}
    }}
    set refusing {{
        {peer}; flags dynamic, timeout; timeout {_NEWS}s; size 65535
    }}
    set refused {{
        {peer}; flags dynamic, timeout; timeout {_AGAIN}s; size 65535
    }}""".lstrip("\n")


def chains(proxy_ports: tuple[int, int]) -> str:
    low, high = proxy_ports
    return f"""
    chain wait {{
        add @waiting {{ ip saddr . tcp sport . ip daddr . tcp dport }} drop
        meta l4proto tcp reject with tcp reset
    }}
    chain refusal {{
        ip saddr . tcp sport @refusing drop
        ip saddr . tcp sport @refused accept
        add @refused {{ ip saddr . tcp sport }} add @refusing {{ ip saddr . tcp sport }} drop
    }}
    chain outgoing {{
        type filter hook output priority filter; policy accept;
        # Here, before the connection is known as one without an instance: the next attempt would be taken for the same.
        ip daddr . tcp dport @held goto wait
        tcp sport {low}-{high} {_REFUSAL} ct status dnat goto refusal
    }}""".lstrip("\n")


def refusals(ours: str, services: str) -> str:
    """The rule for answers of instances to nginx, which alone comes to them by a virtual address from this host."""
    return f"iifname {ours} {_REFUSAL} ct original ip daddr {services} goto refusal"
