"""What is in the kernel's rules, ours and others': read as JSON (libnftables-json(5))."""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import dataclass
from typing import Any

from paas.errors import SystemFailure
from paas.network.nft import Nft

_NETLINK_NETFILTER = 12
_NFT_MSG_GETGEN = (10 << 8) | 16
_NLM_F_REQUEST = 1
_ROUTED = ("ip", "ip6", "inet")
"""Families of the chains that routed packets come by; the others' have no words for what is asked here."""


@dataclass(frozen=True, slots=True)
class BaseChain:
    """Where packets come by: every one has to let a packet pass."""

    family: str
    table: str
    name: str
    hook: str
    policy: str


@dataclass(frozen=True, slots=True)
class Rule:
    handle: int
    comment: str
    expressions: tuple[Any, ...]


class Ruleset:
    def __init__(self, nft: Nft) -> None:
        """`nft` answers in JSON."""
        self._nft = nft

    def run(self, commands: str) -> None:
        self._nft.run(commands)

    def tables(self) -> dict[tuple[str, str], int]:
        """(family, name) -> the kernel's number for it, which a table made anew has not."""
        return {(found["family"], found["name"]): int(found["handle"]) for found in self._list("table", "list tables")}

    def base_chains(self, hook: str) -> list[BaseChain]:
        return [
            BaseChain(found["family"], found["table"], found["name"], hook, found.get("policy", "accept"))
            for found in self._list("chain", "list chains")
            if found.get("hook") == hook and found.get("type") == "filter" and found["family"] in _ROUTED
        ]

    def rules(self, chain: BaseChain) -> list[Rule]:
        found = self._list("rule", f"list chain {chain.family} {chain.table} {chain.name}")
        return [Rule(rule["handle"], rule.get("comment", ""), tuple(rule.get("expr", ()))) for rule in found]

    def _list(self, kind: str, command: str) -> list[dict[str, Any]]:
        try:
            entries = json.loads(self._nft.run(command) or "{}").get("nftables", [])
        except ValueError as error:  # rules of others may have what this nft has no words for
            raise SystemFailure(f"The kernel's rules cannot be read: {error}") from error
        return [entry[kind] for entry in entries if kind in entry]


def generation() -> int:
    """A number that every change of any rule raises. Costs some ten microseconds. Raises SystemFailure."""
    header = struct.pack("=IHHII", 20, _NFT_MSG_GETGEN, _NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as kernel:
            kernel.settimeout(5)
            kernel.send(header + bytes(4))
            answer = kernel.recv(4096)
    except OSError as error:
        raise SystemFailure(f"The kernel's rules cannot be looked at: {error.strerror or error}") from error
    length, kind = struct.unpack_from("=HH", answer, 20) if len(answer) >= 28 else (0, 0)
    if (length, kind) != (8, 1):  # NFTA_GEN_ID
        raise SystemFailure("The kernel's rules cannot be looked at: nf_tables does not answer")
    return int(struct.unpack_from(">I", answer, 24)[0])
