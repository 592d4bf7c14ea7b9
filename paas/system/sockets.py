"""TCP sockets as the kernel lists them: in /proc/net/tcp and tcp6 (proc(5)), and by sock_diag(7)."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
_OPEN = ("01", "03", "04", "08")
"""ESTABLISHED, SYN_RECV, FIN_WAIT1 (the answer is still on its way) and CLOSE_WAIT (the asker only closed its half)."""


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """`address` and `peer` are in the kernel's hex words; inode 0 is a connection nobody has accepted yet."""

    state: str
    address: str
    port: int
    peer: str
    peer_port: int
    inode: int

    @property
    def listens(self) -> bool:
        return self.state == _LISTEN

    @property
    def is_open(self) -> bool:
        """Whether something may still come or go on it."""
        return self.state in _OPEN

    @property
    def is_local(self) -> bool:
        """Whether the peer is on loopback."""
        return _loopback(self.peer)

    @property
    def reachable(self) -> bool:
        """Whether its own address is one that others can reach: it is not on loopback."""
        return not _loopback(self.address)


def _loopback(address: str) -> bool:
    """127.0.0.0/8, ::1 or ::ffff:127.0.0.0/104, as words in host order."""
    if len(address) == 8:
        return address.endswith("7F")
    mapped = address.startswith("0" * 16 + "FFFF0000") and address.endswith("7F")
    return mapped or address == "0" * 24 + "01000000"


def tcp_sockets(process: int | str | None = "self") -> Iterator[TcpSocket]:
    """The sockets of the network namespace that a process is in; none when it is gone (None)."""
    for table in ("tcp", "tcp6") if process is not None else ():
        try:
            lines = Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, _, port = fields[1].rpartition(":")
            peer, _, peer_port = fields[2].rpartition(":")
            yield TcpSocket(fields[3], address, int(port, 16), peer, int(peer_port, 16), int(fields[9]))


_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_DUMP = 0x301
"""NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH"""
_DONE, _ERROR = 3, 2


def open_ports() -> Counter[int]:
    """Local ports of this network namespace -> connections on them that are not over, counted by the kernel.

    The many that are over and wait for their time to pass cost nothing here. Raises OSError.
    """
    states = sum(1 << int(state, 16) for state in _OPEN)
    found = Counter[int]()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(5)
        for family in (socket.AF_INET, socket.AF_INET6):
            wanted = struct.pack("=BBBBI48x", family, socket.IPPROTO_TCP, 0, 0, states)
            kernel.send(struct.pack("=IHHII", 16 + len(wanted), _SOCK_DIAG_BY_FAMILY, _DUMP, 1, 0) + wanted)
            while _count(kernel.recv(65536), found):
                pass
    return found


def _count(messages: bytes, found: Counter[int]) -> bool:
    """Count one answer of several messages; False when it was the last."""
    offset = 0
    while offset + 16 <= len(messages):
        length, kind = struct.unpack_from("=IH", messages, offset)
        if kind == _DONE:
            return False
        if kind == _ERROR:
            code = -int(struct.unpack_from("=i", messages, offset + 16)[0])
            if code == 2:  # no IPv6 here
                return False
            raise OSError(code, "the kernel does not list its sockets")
        found[int(struct.unpack_from(">H", messages, offset + 20)[0])] += 1
        offset += (length + 3) & ~3
    return True
