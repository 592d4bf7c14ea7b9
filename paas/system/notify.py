"""What a service tells systemd: sd_notify(3), a datagram of `KEY=VALUE` lines to the socket named by NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Say it; nothing happens where nobody listens."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            pass  # a manager that is gone must not end what it started


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often at least this process has to say WATCHDOG=1; None for never."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(usec) / 1e6 if usec.isdigit() and int(usec) > 0 and pid == str(os.getpid()) else None
