"""Whether something listens, seen from the host and from inside."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

_LISTEN = "0A"
_OPEN = {"01", "03", "04", "08"}
"""ESTABLISHED, SYN_RECV, FIN_WAIT1 (the answer is still on its way) and CLOSE_WAIT (the asker only closed its half)."""


def tcp_listening(address: IPv4Address, port: int, timeout: float) -> bool:
    """Whether a TCP connection can be made within `timeout` seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(timeout)
        return probe.connect_ex((str(address), port)) in (0, errno.EISCONN)


def listening_ports(pid: int | None) -> set[int]:
    """TCP ports on which anything listens in the network namespace of a process; empty when it is gone."""
    return {port for state, port, _ in _sockets(pid) if state == _LISTEN}


def open_connections(pid: int | None) -> int:
    """Connections that others have made to ports a process's network namespace listens on, and that are not over.

    Those on the namespace's own loopback do not count, nor those it has made itself.
    """
    sockets = list(_sockets(pid))
    served = {port for state, port, _ in sockets if state == _LISTEN}
    return sum(1 for state, port, peer in sockets if state in _OPEN and port in served and not _is_loopback(peer))


def _sockets(pid: int | None) -> Iterator[tuple[str, int, str]]:
    """(state, local port, peer's address) in the hex words of /proc/net/tcp."""
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            yield fields[3], int(fields[1].rpartition(":")[2], 16), fields[2].rpartition(":")[0]


def _is_loopback(address: str) -> bool:
    """127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104, as four-byte words in host order."""
    if len(address) == 8:
        return address.endswith("7F")
    return address == "0" * 24 + "01000000" or (address.startswith("0" * 16 + "FFFF0000") and address.endswith("7F"))
