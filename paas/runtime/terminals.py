"""A container's streams and terminal as conmon keeps them: files below the run directory. See conmon(8)."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from paas.errors import Conflict


def connect(sockets: Path) -> socket.socket:
    """conmon's end of a container's streams, from the directory of its sockets. Raises Conflict."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        directory = os.open(sockets, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        found.close()
        raise Conflict(f"Container {sockets.name[:12]} is not running") from None
    try:
        found.connect(f"/proc/self/fd/{directory}/attach")  # the whole path may exceed a socket address
    except OSError as error:
        found.close()
        raise Conflict(f"Container {sockets.name[:12]} cannot be attached to: {error.strerror}") from None
    finally:
        os.close(directory)
    return found


def resize(bundle: Path, rows: int, columns: int) -> None:
    """Tell a container's terminal its size; nothing happens when it is gone."""
    try:
        control = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(control, f"1 {rows} {columns}\n".encode())
    finally:
        os.close(control)


def open_streams(pid: int) -> None:
    """Let whoever the container's processes run as open /dev/stdout and /dev/stderr again, as many programs do.

    The pipes behind them belong to the host's root, which is nobody inside; only the container can reach them.
    """
    for number in range(3):
        path = Path(f"/proc/{pid}/fd/{number}")
        try:
            if stat.S_ISFIFO(path.stat().st_mode):
                path.chmod(0o666)
        except FileNotFoundError:
            pass  # ended already, or the stream is closed
