"""A client that keeps to no rules: paramiko's, told what to send; and plain sockets."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
from paramiko.common import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_REQUEST,
    MSG_KEXINIT,
)

from tests.ssh.stub import Place

__all__ = [
    "MSG_CHANNEL_CLOSE",
    "MSG_CHANNEL_DATA",
    "MSG_CHANNEL_EXTENDED_DATA",
    "MSG_CHANNEL_OPEN",
    "MSG_CHANNEL_REQUEST",
    "MSG_KEXINIT",
    "anonymous",
    "dial",
    "logged_in",
    "message",
    "resident",
    "until",
]


def dial(place: Place, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", place.settings.ssh_port), timeout=10, source_address=(source, 0))


@contextmanager
def anonymous(place: Place, source: str = "127.0.0.1") -> Iterator[paramiko.Transport]:
    """A connection with its keys exchanged, and nobody logged in."""
    transport = paramiko.Transport(dial(place, source))
    try:
        transport.start_client(timeout=10)
        yield transport
    finally:
        transport.close()


@contextmanager
def logged_in(place: Place) -> Iterator[paramiko.Transport]:
    with anonymous(place) as transport:
        transport.auth_publickey("paas", paramiko.Ed25519Key.from_private_key_file(str(place.key)))
        yield transport


def message(kind: int, *fields: int | str | bytes | bool) -> paramiko.Message:
    """Numbers are 32 bits, texts have their length before them."""
    built = paramiko.Message()
    built.add_byte(bytes([kind]))
    for field in fields:
        if isinstance(field, bool):
            built.add_boolean(field)
        elif isinstance(field, int):
            built.add_bytes(struct.pack(">I", field))
        else:
            built.add_string(field)
    return built


def resident(pid: int) -> int:
    """Bytes of memory that a process has in use, without what it shares."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    raise AssertionError("no such process")


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        threading.Event().wait(0.02)
