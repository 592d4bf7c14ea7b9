"""`ssh -tt`: terminals, window sizes, Ctrl-C, and a terminal that the engine hands over."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

from paas.system import run as system

from .stub import Place


class Screen:
    """A terminal that we hold the master side of, with an ssh client on it."""

    def __init__(self, master: int, process: system.Process) -> None:
        self.master = master
        self.process = process
        self.seen = b""

    def until(self, text: bytes, seconds: float = 10.0) -> bytes:
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} did not appear in {self.seen!r}"
            if select.select([self.master], [], [], left)[0]:
                before = len(self.seen)
                assert len(self.read()) > before, f"the end came before {text!r}: {self.seen!r}"
        return self.seen

    def read(self) -> bytes:
        """All that has been shown so far, once there is something new or the end has come."""
        try:
            self.seen += os.read(self.master, 65536)
        except OSError:
            pass
        return self.seen

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def screen(argv: list[str], env: dict[str, str] | None = None) -> Iterator[Screen]:
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    process = system.start(
        ["setsid", "--ctty", "--wait", *argv],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={"TERM": "vt100", **(env or {})},
    )
    os.close(slave)
    try:
        yield Screen(master, process)
    finally:
        os.close(master)
        try:
            process.wait(10)
        except system.TimeoutExpired:
            process.kill()
            process.wait()


def test_size_and_its_changes(place: Place) -> None:
    with screen(place.argv("size", options=("-tt",))) as terminal:
        terminal.until(b"30 90\r\n")
        terminal.resize(41, 121)
        terminal.until(b"(41, 121) os.terminal_size(columns=121, lines=41)")
        assert terminal.process.wait(10) == 0
    request = place.engine.requests[-1]
    assert (request["tty"], request["term"]) == (True, "vt100")


def test_interrupt(place: Place) -> None:
    with screen(place.argv("wait", options=("-tt",))) as terminal:
        terminal.until(b"waiting")
        terminal.type(b"\x03")
        assert terminal.process.wait(10) == 130
    assert place.engine.hung_up.is_set()


def test_keys_are_echoed_and_lines_edited(place: Place) -> None:
    with screen(place.argv("cat", options=("-tt",))) as terminal:
        terminal.type(b"helxx\x7f\x7flo\r")
        terminal.until(b"hello\r\n")
        terminal.type(b"\x04")
        assert terminal.process.wait(10) == 0


def test_a_terminal_handed_over_by_the_engine(place: Place) -> None:
    with screen(place.argv("shell", options=("-tt",))) as terminal:
        terminal.until(b"inner> ")
        terminal.type(b"echo $((40 + 2))\r")
        terminal.until(b"\r\n42\r\n")
        terminal.type(b"sleep 30\r")
        terminal.until(b"sleep 30\r\n")
        time.sleep(0.2)
        terminal.type(b"\x03")
        terminal.type(b"exit 5\r")
        assert terminal.process.wait(10) == 5
