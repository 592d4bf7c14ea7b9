"""TCP sockets as the kernel lists them in /proc/net/tcp and tcp6. See proc(5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"
_OPEN = ("01", "03", "04", "08")
"""ESTABLISHED, SYN_RECV, FIN_WAIT1 (the answer is still on its way) and CLOSE_WAIT (the asker only closed its half)."""


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """`peer` is the address in the kernel's hex words; inode 0 is a connection nobody has accepted yet."""

    state: str
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
        """Whether the peer is on loopback: 127.0.0.0/8, ::1 or ::ffff:127.0.0.0/104, as words in host order."""
        if len(self.peer) == 8:
            return self.peer.endswith("7F")
        mapped = self.peer.startswith("0" * 16 + "FFFF0000") and self.peer.endswith("7F")
        return mapped or self.peer == "0" * 24 + "01000000"


def tcp_sockets(process: int | str | None = "self") -> Iterator[TcpSocket]:
    """The sockets of the network namespace that a process is in; none when it is gone (None)."""
    for table in ("tcp", "tcp6") if process is not None else ():
        try:
            lines = Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            peer, _, peer_port = fields[2].rpartition(":")
            port = int(fields[1].rpartition(":")[2], 16)
            yield TcpSocket(fields[3], port, peer, int(peer_port, 16), int(fields[9]))
