"""Whether something listens, seen from the host and from inside."""

from __future__ import annotations

import socket
import time
from ipaddress import IPv4Address

from paas.system.sockets import tcp_sockets

_STAYED_OPEN = 0.15


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
        if any(found.peer_port == ours and found.inode for found in tcp_sockets(pid)):
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


def listening_ports(pid: int | None, *, reachable: bool = True) -> set[int]:
    """TCP ports on which anything listens in the network namespace of a process, where others reach it, or on its
    loopback alone; empty when it is gone."""
    found = [each for each in tcp_sockets(pid) if each.listens]
    outside = {each.port for each in found if each.reachable}
    return outside if reachable else {each.port for each in found} - outside


def open_connections(pid: int | None) -> int:
    """Connections that others have made to ports a process's network namespace listens on, and that are not over.

    Those on the namespace's own loopback do not count, nor those it has made itself.
    """
    sockets = list(tcp_sockets(pid))
    served = {found.port for found in sockets if found.listens}
    return sum(1 for found in sockets if found.is_open and found.port in served and not found.is_local)
