"""The public ports: free when we begin, and held as long as the engine lives, so that nobody else takes them.

nginx itself listens on other ports, which the network redirects to; on these nobody listens.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from paas.errors import Conflict
from paas.network.listening import who_listens


class PublicPorts:
    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def hold(self, ports: Iterable[int], hint: str = "Stop it, or choose another port.") -> None:
        """Hold exactly these ports. Raises Conflict, naming who has one, and keeps what was held."""
        wanted = set(ports)
        taken: dict[int, socket.socket] = {}
        try:
            for port in sorted(wanted - set(self._held)):
                taken[port] = _bind(port, hint)
        except BaseException:
            for holder in taken.values():
                holder.close()
            raise
        for port in set(self._held) - wanted:
            self._held.pop(port).close()
        self._held |= taken

    def check(self, ports: Iterable[int]) -> None:
        """Raises Conflict when one that is not held is taken by somebody else."""
        for port in set(ports) - set(self._held):
            _bind(port, "Stop it, or choose another port.").close()

    def close(self) -> None:
        self.hold(())


def _bind(port: int, hint: str) -> socket.socket:
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if who := who_listens(port):
            raise Conflict(f"Port {port} is taken by {who}", hint=hint)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("0.0.0.0", port))
    except OSError as error:
        holder.close()
        raise Conflict(f"Port {port} cannot be used: {error.strerror}", hint=hint) from None
    except BaseException:
        holder.close()
        raise
    return holder
