"""The way from this host to a test machine: a veth of two addresses, and masquerading so that it gets out."""

from __future__ import annotations

import json
import random
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from paas.system.run import run

_NETWORK = IPv4Network("10.99.0.0/16")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class Link:
    """`number` is the machine's alone while its link exists; `name` is the host's end."""

    token: str
    number: int
    claim: socket.socket

    @property
    def name(self) -> str:
        # Not "paas...": an engine of this host takes links with such names for its own.
        return f"vm{self.token}"

    @property
    def table(self) -> str:
        return f"paas_test_{self.token}"

    @property
    def outside(self) -> IPv4Address:
        return _NETWORK[self.number * 4 + 1]

    @property
    def inside(self) -> IPv4Address:
        return _NETWORK[self.number * 4 + 2]

    def connect(self, pid: int) -> None:
        """Lead into the network namespace of a process."""
        _ip(
            f"link add {self.name} type veth peer name eth0 netns {pid}",
            f"address add {self.outside}/30 dev {self.name}",
            f"link set {self.name} up",
        )
        _ip(
            "link set lo up",
            f"address add {self.inside}/30 dev eth0",
            "link set eth0 up",
            f"route add default via {self.outside}",
            pid=pid,
        )

    def disconnect(self) -> None:
        """Harmless when it is gone already."""
        run(["ip", "link", "delete", self.name], check=False)

    def masquerade(self) -> bool:
        """Let the machine reach what the host reaches. True when forwarding had to be switched on for it."""
        run(
            ["nft", "-f", "-"],
            input=f"""table ip {self.table} {{
                chain postrouting {{
                    type nat hook postrouting priority srcnat
                    ip saddr {self.inside} oifname != "{self.name}" masquerade
                }}
            }}""".encode(),
        )
        return forwarding(on=True)

    def unmasquerade(self, *, forwarding_was_off: bool) -> None:
        run(["nft", "delete", "table", "ip", self.table], check=False)
        if forwarding_was_off:
            forwarding(on=False)
        self.claim.close()


def forwarding(*, on: bool) -> bool:
    """Whether this host's forwarding of packets was changed by that."""
    wanted = "1" if on else "0"
    if _FORWARD.read_text().strip() == wanted:
        return False
    _FORWARD.write_text(wanted)
    return True


def new_link(token: str) -> Link:
    """With a number that no other machine on this host has, also of those that other test runs are just making."""
    shown = json.loads(run(["ip", "-json", "-4", "address", "show"]).text)
    used = {entry["local"] for interface in shown for entry in interface.get("addr_info", ())}
    numbers = random.sample(range(1, 250), 249)
    for number in numbers:
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0paas-test-link-{number}")  # in no file system: it goes with its process
        except OSError:
            claim.close()
            continue
        link = Link(token, number, claim)
        if str(link.outside) not in used:
            return link
        claim.close()
    raise AssertionError("this host has no network left for another machine")


def _ip(*commands: str, pid: int | None = None) -> None:
    prefix = [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net"]
    run([*prefix, "ip", "-batch", "-"], input="\n".join(commands).encode())
