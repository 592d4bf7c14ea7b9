from __future__ import annotations

import array
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas import wire


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    with left, right:
        right.settimeout(5)
        yield left, right


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_frames_and_descriptors(pair: tuple[socket.socket, socket.socket]) -> None:
    left, right = pair
    read, write = os.pipe()
    wire.send(left, {"argv": ["a\udcff", "ü", "\0"]}, (read, write))
    wire.send(left, {"exit": 0})
    received = wire.receive(right)
    assert received is not None
    frame, descriptors = received
    assert frame == {"argv": ["a\udcff", "ü", "\0"]}
    os.write(descriptors[1], b"x")
    assert os.read(read, 1) == b"x"
    assert not any(os.get_inheritable(descriptor) for descriptor in descriptors)
    assert wire.receive(right) == ({"exit": 0}, [])
    left.close()
    assert wire.receive(right) is None
    for descriptor in (read, write, *descriptors):
        os.close(descriptor)


def test_a_large_frame(pair: tuple[socket.socket, socket.socket]) -> None:
    import threading

    left, right = pair
    value = {"text": "x" * (3 << 20)}
    thread = threading.Thread(target=wire.send, args=(left, value))
    thread.start()
    assert wire.receive(right) == (value, [])
    thread.join()


def test_a_frame_that_is_too_large_is_not_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(wire.WireError):
        wire.send(pair[0], {"text": "x" * wire.LIMIT})


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0",
        struct.pack(">I", 10) + b"short",
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 2) + b"[]",
        struct.pack(">I", 4) + b"null",
        struct.pack(">I", 3) + b"\xff\xfe\xfd",
        struct.pack(">I", 100_000) + b"[" * 100_000,
        struct.pack(">I", 0),
    ],
)
def test_bytes_that_are_no_frame(pair: tuple[socket.socket, socket.socket], data: bytes) -> None:
    left, right = pair
    left.sendall(data)
    left.close()
    with pytest.raises(wire.WireError):
        wire.receive(right)


@pytest.mark.parametrize("count", [5, 6, 64])
def test_descriptors_of_a_bad_frame_are_closed(pair: tuple[socket.socket, socket.socket], count: int) -> None:
    left, right = pair
    before = _open_descriptors()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * count))]
    left.sendmsg([struct.pack(">I", 2) + b"{}"], rights)
    with pytest.raises(wire.WireError):
        wire.receive(right)
    left.sendmsg([b"no frame at all"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1]))])
    with pytest.raises(wire.WireError):
        wire.receive(right)
    assert _open_descriptors() == before


@given(st.binary(max_size=64))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(data)
        left.close()
        try:
            while wire.receive(right) is not None:
                pass
        except wire.WireError:
            pass
