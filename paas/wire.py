"""The engine's unix socket: one request a connection, in frames that may carry file descriptors.

A frame is four bytes of length (big endian) and a JSON object; descriptors travel beside its first byte (SCM_RIGHTS).

    client -> engine   first   {"kind": "command" | "auth" | "receive" | "push", ...}   with stdin, stdout, stderr and,
                               where a command needs it, the directory it was typed in
                       later   {"winch": [rows, columns]}   {"signal": "INT"}
    engine -> client           {"attach": "pty" | "conmon"} with one descriptor
                       last    {"exit": status, ...}

A client that hangs up cancels what it asked for. The host's command line is written against this file alone, so it
imports next to nothing.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to import than all of this file
    from typing import Any

LIMIT = 8 << 20
"""Bytes of the longest frame."""
MAX_DESCRIPTORS = 4
_LENGTH = struct.Struct(">I")

Frame = dict[str, "Any"]


class WireError(Exception):
    """The other side does not keep to the protocol."""


def send(connection: socket.socket, frame: Frame, descriptors: tuple[int, ...] = ()) -> None:
    """Send a frame. Raises OSError when the other side is gone, WireError when the frame is too long."""
    body = json.dumps(frame).encode()
    if len(body) > LIMIT:
        raise WireError(f"a message of {len(body)} bytes; the limit is {LIMIT}")
    data = memoryview(_LENGTH.pack(len(body)) + body)
    if descriptors:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        data = data[connection.sendmsg([data], rights) :]
    while data:
        data = data[connection.send(data) :]


def receive(connection: socket.socket) -> tuple[Frame, list[int]] | None:
    """The next frame and its descriptors (close them); None at the end. Raises WireError, OSError."""
    descriptors: list[int] = []
    try:
        frame = _frame(connection, descriptors)
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return None if frame is None else (frame, descriptors)


def connect(path: str) -> socket.socket:
    """Connect to the engine. Raises OSError when there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _frame(connection: socket.socket, descriptors: list[int]) -> Frame | None:
    head = _read(connection, _LENGTH.size, descriptors)
    if not head:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > LIMIT:
        raise WireError(f"a message of {length} bytes")
    body = _read(connection, length, descriptors)
    try:
        frame = json.loads(body)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise WireError("a message that is no JSON object")
    return frame


def _read(connection: socket.socket, count: int, descriptors: list[int]) -> bytes:
    """Exactly `count` bytes, or none at the end. Raises WireError when the end comes in between."""
    data = bytearray()
    space = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
    while len(data) < count:
        piece, ancillary, flags, _ = connection.recvmsg(min(count - len(data), 65536), space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, rights in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found = array.array("i")
                found.frombytes(rights[: len(rights) - len(rights) % found.itemsize])
                descriptors.extend(found)
        if flags & socket.MSG_CTRUNC or len(descriptors) > MAX_DESCRIPTORS:
            raise WireError("too many descriptors")
        if not piece:
            if data:
                raise WireError("the end within a message")
            return b""
        data += piece
    return bytes(data)
