from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas import wire
from paas.engine.server import Server, Session
from paas.errors import PaasError


class Recorder:
    def __init__(self) -> None:
        self.sessions: list[Session] = []
        self.handled = threading.Event()

    def handle(self, session: Session) -> None:
        self.sessions.append(session)
        if session.request.get("wait"):
            session.on_resize(lambda rows, columns: session.finish({"size": [rows, columns]}))
            assert session.hung_up.wait(10)
        for descriptor in session.descriptors:
            os.write(descriptor, b"seen")
        session.finish({"exit": 3})
        self.handled.set()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def path(tmp_path: Path, recorder: Recorder) -> Iterator[Path]:
    found = tmp_path / "engine" / "socket"
    server = Server(found, 0, recorder.handle)
    server.start()
    yield found
    server.close()


def _ask(path: Path, frame: wire.Frame, *later: wire.Frame) -> list[wire.Frame]:
    answers: list[wire.Frame] = []
    with wire.connect(str(path)) as connection:
        connection.settimeout(10)
        wire.send(connection, frame)
        for each in later:
            wire.send(connection, each)
        while (received := wire.receive(connection)) is not None:
            answers.append(received[0])
    return answers


def test_a_request_and_its_answer(path: Path, recorder: Recorder) -> None:
    read, write = os.pipe()
    with wire.connect(str(path)) as connection:
        wire.send(connection, {"kind": "x"}, (write,))
        os.close(write)
        assert wire.receive(connection) == ({"exit": 3}, [])
    assert (os.read(read, 10), os.read(read, 10)) == (b"seen", b""), "the engine keeps no descriptor open"
    os.close(read)
    assert recorder.sessions[0].uid == 0


def test_rights_of_the_socket(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o660
    assert path.parent.stat().st_mode & 0o777 == 0o750


def test_hang_up_signal_and_size(path: Path, recorder: Recorder) -> None:
    assert _ask(path, {"wait": True}, {"winch": [10, 20]}, {"signal": "INT"}) == [{"size": [10, 20]}, {"exit": 3}]
    recorder.handled.clear()
    with wire.connect(str(path)) as connection:
        wire.send(connection, {"wait": True})
    assert recorder.handled.wait(10)


@pytest.mark.parametrize("winch", [[0, 0], [-1, 5], [1], "x", [1, 1 << 40], [True, None], {}])
def test_sizes_that_are_none_are_passed_over(path: Path, winch: object) -> None:
    assert _ask(path, {"wait": True}, {"winch": winch}, {"signal": "INT"})[-1] == {"exit": 3}


@pytest.mark.parametrize("data", [b"junk", b"\xff" * 100, struct.pack(">I", 3) + b"{x}", b""])
def test_hostile_bytes_are_dropped(path: Path, recorder: Recorder, data: bytes) -> None:
    with wire.connect(str(path)) as connection:
        connection.settimeout(10)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        try:
            assert connection.recv(10) == b""
        except ConnectionResetError:
            pass
    assert _ask(path, {"kind": "x"}) == [{"exit": 3}]
    assert len(recorder.sessions) == 1


def test_a_second_engine_is_refused_and_a_dead_ones_socket_is_not(tmp_path: Path, recorder: Recorder) -> None:
    path = tmp_path / "engine" / "socket"
    first = Server(path, 0, recorder.handle)
    first.start()
    with pytest.raises(PaasError):
        Server(path, 0, recorder.handle).start()
    first.close()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    second = Server(path, 0, recorder.handle)
    second.start()
    assert _ask(path, {}) == [{"exit": 3}]
    second.close()
    assert not path.exists()
