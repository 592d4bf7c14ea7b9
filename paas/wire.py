"""The engine's unix socket: one request a connection, in frames that may carry file descriptors.

A frame is four bytes of length (big endian) and a JSON object; descriptors travel beside its first byte (SCM_RIGHTS).

    client -> engine   first   {"kind": "command" | "receive" | "push", ...}   with stdin, stdout, stderr and, where a
                               command needs it, the directory it was typed in
                       later   {"winch": [rows, columns]}   {"signal": "INT"}
    engine -> client           {"attach": "pty" | "conmon"} with one descriptor
                       last    {"exit": status, ...}

The front door says in whose name it asks by a login's "token"; git's hook by the "ticket" of a push.
A client that hangs up cancels what it asked for. The host's command line is written against this file alone, so it
imports next to nothing.
"""

from __future__ import annotations

import os
import struct
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than all of this file
    import socket
    from typing import Any
else:
    try:
        import _socket as socket  # what CPython's socket wraps, without all that the latter imports
    except ImportError:
        import socket

LIMIT = 8 << 20
"""Bytes of the longest frame."""
MAX_DESCRIPTORS = 4
_LENGTH = struct.Struct(">I")
_DESCRIPTOR = struct.calcsize("i")
_EXIT = b'{"exit": '
"""How the last frame of a command that has gone well begins."""

Frame = dict[str, "Any"]


class WireError(Exception):
    """The other side does not keep to the protocol."""


def send(connection: socket.socket, frame: Frame, descriptors: tuple[int, ...] = ()) -> None:
    """Send a frame. Raises OSError when the other side is gone, WireError when the frame is too long."""
    body = _encoded(frame).encode()
    if len(body) > LIMIT:
        raise WireError(f"a message of {len(body)} bytes; the limit is {LIMIT}")
    data = memoryview(_LENGTH.pack(len(body)) + body)
    if descriptors:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(descriptors)}i", *descriptors))]
        data = data[connection.sendmsg([data], rights) :]
    while data:
        data = data[connection.send(data) :]


def receive(
    connection: socket.socket, limit: int = LIMIT, deadline: float | None = None
) -> tuple[Frame, list[int]] | None:
    """The next frame and its descriptors (close them); None at the end. Raises WireError, OSError.

    `limit` in bytes; all of it has to come before `deadline`, on the monotonic clock.
    """
    descriptors: list[int] = []
    try:
        frame = _frame(connection, descriptors, limit, deadline)
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return None if frame is None else (frame, descriptors)


def connect(path: str) -> socket.socket:
    """Connect to the engine. Raises OSError when there is none."""
    from socket import AF_UNIX, SOCK_STREAM, socket

    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _encoded(value: object) -> str:
    """JSON. What a command line usually holds is written here: to import json takes longer than all of the client."""
    if isinstance(value, str) and value.isprintable() and '"' not in value and "\\" not in value:
        return f'"{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_encoded, value))}]"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return f"{{{', '.join(f'{_encoded(key)}: {_encoded(item)}' for key, item in value.items())}}}"
    import json

    return json.dumps(value)


def _frame(connection: socket.socket, descriptors: list[int], limit: int, deadline: float | None) -> Frame | None:
    head = _read(connection, _LENGTH.size, descriptors, deadline)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise WireError(f"a message of {length} bytes")
    body = _read(connection, length, descriptors, deadline)
    if body.startswith(_EXIT) and body[len(_EXIT) : -1].isdigit() and body.endswith(b"}"):
        return {"exit": int(body[len(_EXIT) : -1])}
    import json

    try:
        frame = json.loads(body)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise WireError("a message that is no JSON object")
    return frame


def _read(connection: socket.socket, count: int, descriptors: list[int], deadline: float | None) -> bytes:
    """Exactly `count` bytes, or none at the end. Raises WireError when the end comes in between."""
    data = bytearray()
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
    while len(data) < count:
        if deadline is not None:
            if (left := deadline - monotonic()) <= 0:
                raise WireError("a message that takes too long")
            connection.settimeout(left)
        piece, ancillary, flags, _ = connection.recvmsg(min(count - len(data), 65536), space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, rights in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                arrived = len(rights) // _DESCRIPTOR
                descriptors.extend(struct.unpack(f"{arrived}i", rights[: arrived * _DESCRIPTOR]))
        if flags & socket.MSG_CTRUNC or len(descriptors) > MAX_DESCRIPTORS:
            raise WireError("too many descriptors")
        if not piece:
            if data:
                raise WireError("the end within a message")
            return b""
        data += piece
    return bytes(data)
