"""Whether something listens, seen from the host and from inside."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

_LISTEN = "0A"
_STAYED_OPEN = 0.15
_OPEN = {"01", "03", "04", "08"}
"""ESTABLISHED, SYN_RECV, FIN_WAIT1 (the answer is still on its way) and CLOSE_WAIT (the asker only closed its half)."""


class Probe:
    """Asks one port of a container, again and again, whether a server is at work there.

    That a connection can be made only shows that something listens; a server that is about to fail does too. It is at
    work once it has accepted our connection, which the container's socket table shows. A server that accepts only when
    data comes (TCP_DEFER_ACCEPT) counts as at work when the connection has stayed open for a moment.
    """

    def __init__(self, address: IPv4Address, port: int) -> None:
        self._peer = (str(address), port)
        self._socket: socket.socket | None = None
        self._since = 0.0

    def ask(self, pid: int | None) -> bool:
        """Whether it is at work now; `pid` is any process of the container."""
        if self._socket is None and not self._connect():
            return False
        assert self._socket is not None
        try:
            self._socket.recv(1)
            return True  # it has spoken, or accepted and closed
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return False
        ours = self._socket.getsockname()[1]
        if any(peer == ours and inode for _, _, _, peer, inode in _sockets(pid)):
            return True
        return time.monotonic() - self._since > _STAYED_OPEN

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> bool:
        """The container is one hop away: an answer comes at once or not at all."""
        probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        probe.settimeout(0.5)
        if probe.connect_ex(self._peer) != 0:
            probe.close()
            return False
        probe.setblocking(False)
        self._socket, self._since = probe, time.monotonic()
        return True


def listening_ports(pid: int | None) -> set[int]:
    """TCP ports on which anything listens in the network namespace of a process; empty when it is gone."""
    return {port for state, port, *_ in _sockets(pid) if state == _LISTEN}


def open_connections(pid: int | None) -> int:
    """Connections that others have made to ports a process's network namespace listens on, and that are not over.

    Those on the namespace's own loopback do not count, nor those it has made itself.
    """
    sockets = list(_sockets(pid))
    served = {port for state, port, *_ in sockets if state == _LISTEN}
    return sum(1 for state, port, peer, *_ in sockets if state in _OPEN and port in served and not _is_loopback(peer))


def _sockets(pid: int | None) -> Iterator[tuple[str, int, str, int, int]]:
    """(state, local port, peer's address, peer's port, inode) of each socket; inode 0: not accepted yet.

    State and address are the hex words of /proc/net/tcp.
    """
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            address, _, peer_port = fields[2].rpartition(":")
            yield fields[3], int(fields[1].rpartition(":")[2], 16), address, int(peer_port, 16), int(fields[9])


def _is_loopback(address: str) -> bool:
    """127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104, as four-byte words in host order."""
    if len(address) == 8:
        return address.endswith("7F")
    return address == "0" * 24 + "01000000" or (address.startswith("0" * 16 + "FFFF0000") and address.endswith("7F"))
