"""What a service tells systemd: sd_notify(3), a datagram of `KEY=VALUE` lines to the socket named by NOTIFY_SOCKET."""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Iterator, Mapping

_FIRST_KEPT = 3
"""The number of the first descriptor that systemd hands over: sd_listen_fds(3)."""


def notify(state: str, environ: Mapping[str, str] = os.environ, descriptors: tuple[int, ...] = ()) -> None:
    """Say it, with descriptors where it is about some; nothing happens where nobody listens."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendmsg([state.encode()], rights, 0, address)
        except OSError:
            pass  # a manager that is gone must not end what it started


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often at least this process has to say WATCHDOG=1; None for never."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(usec) / 1e6 if usec.isdigit() and int(usec) > 0 and pid == str(os.getpid()) else None


def keep(name: str, kept: socket.socket, environ: Mapping[str, str] = os.environ) -> None:
    """Have a socket held while this service is restarted. One that is held already stays so."""
    notify(f"FDSTORE=1\nFDNAME={name}", environ, (kept.fileno(),))


def let_go(name: str, environ: Mapping[str, str] = os.environ) -> None:
    """Have the sockets of a name held no longer."""
    notify(f"FDSTOREREMOVE=1\nFDNAME={name}", environ)


def kept_sockets(environ: Mapping[str, str] = os.environ) -> Iterator[tuple[str, socket.socket]]:
    """Names and sockets that were kept for this process, each for the caller to close. To be asked once, before there
    are other sockets: the descriptors are taken over, and programs that we start get none of them."""
    count, pid = environ.get("LISTEN_FDS", ""), environ.get("LISTEN_PID", "")
    if pid != str(os.getpid()) or not count.isdigit():
        return
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    for number in range(int(count)):
        try:
            found = socket.socket(fileno=_FIRST_KEPT + number)
        except OSError:
            continue  # what was kept is no socket, or there is none
        found.set_inheritable(False)
        yield names[number] if number < len(names) else "", found
