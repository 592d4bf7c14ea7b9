"""The port of the SSH front door. systemd keeps its socket while no engine runs, so that a client who connects during a
restart waits instead of being refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from paas.errors import SystemFailure
from paas.network.listening import who_listens
from paas.settings import Settings
from paas.system.notify import keep, kept_sockets, let_go

_NAME = "ssh"
_BACKLOG = 512
"""Connections that wait until one is accepted: those of a restart."""


def ssh_listener(settings: Settings, environ: Mapping[str, str] = os.environ) -> socket.socket:
    """Listens where the settings say: the socket of the engine before, if it was kept and does, or a new one, which is
    kept for the next engine. Raises SystemFailure when the port is taken."""
    listener: socket.socket | None = None
    for name, found in kept_sockets(environ):
        if name == _NAME and listener is None and _is_at(found, settings):
            listener = found
        elif name == _NAME:
            _stop(found)
            let_go(_NAME, environ)
        else:
            found.close()
    if listener is None:
        listener = _listen(settings)
    listener.listen(_BACKLOG)
    keep(_NAME, listener, environ)
    return listener


def _is_at(listener: socket.socket, settings: Settings) -> bool:
    try:
        family, kind, _, _, wanted = socket.getaddrinfo(
            settings.ssh_address or "0.0.0.0", settings.ssh_port, type=socket.SOCK_STREAM
        )[0]
        listens = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        return bool(listens) and (listener.family, listener.type) == (family, kind) and listener.getsockname() == wanted
    except OSError:
        return False


def _stop(listener: socket.socket) -> None:
    """Free its port at once, whoever else has it open."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it did not listen
    listener.close()


def _listen(settings: Settings) -> socket.socket:
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
