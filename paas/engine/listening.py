"""The port of the SSH front door."""

from __future__ import annotations

import socket

from paas.errors import SystemFailure
from paas.network.listening import who_listens
from paas.settings import Settings

_BACKLOG = 512
"""Connections that wait until one is accepted: while the front door starts."""


def ssh_listener(settings: Settings) -> socket.socket:
    """Listens where the settings say. Raises SystemFailure when the port is taken."""
    family = socket.AF_INET6 if ":" in settings.ssh_address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.ssh_address, settings.ssh_port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        holder = who_listens(settings.ssh_port)
        why = f"is taken by {holder}" if holder else f"cannot be used: {error.strerror}"
        raise SystemFailure(
            f"Port {settings.ssh_port} {why}", hint="Stop it, or change the setting ssh_port."
        ) from None
    return listener
