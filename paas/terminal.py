"""The caller's own terminal, joined to a terminal or a container's streams that the engine hands over."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import termios
import tty
from collections.abc import Iterator

from paas import wire
from paas.detaching import KIND, DetachKeys

_BLOCK = 1 << 16
_BACKLOG = 1 << 18
_STDERR_MARK = 3  # conmon puts 2 (stdout) or 3 (stderr) before each packet


@contextlib.contextmanager
def raw_mode(descriptor: int) -> Iterator[None]:
    """Bytes go through as they are typed; the terminal's own mode is put back whatever happens."""
    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:
        yield
        return
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def attach(connection: socket.socket, descriptor: int, kind: str) -> int | None:
    """Join standard input and output with `descriptor` until its other end is gone or the engine has a status.

    Returns that status, or None when the engine has not sent it yet; 0 when the user has left by the keys for that.
    `descriptor` is closed.
    """
    with raw_mode(0):
        try:
            os.set_blocking(descriptor, False)
            keys = DetachKeys() if kind == KIND else None
            return _Join(connection, descriptor, packets=kind in ("conmon", KIND), keys=keys).run()
        finally:
            os.close(descriptor)


class _Join:
    def __init__(
        self, connection: socket.socket, descriptor: int, *, packets: bool, keys: DetachKeys | None = None
    ) -> None:
        self._connection = connection
        self._far = descriptor
        self._packets = packets
        self._keys = keys
        self._left = False
        self._pending = bytearray()
        self._input = True

    def run(self) -> int | None:
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        while True:
            poll.register(self._far, select.POLLIN | (select.POLLOUT if self._pending else 0))
            if self._input and len(self._pending) < _BACKLOG:
                poll.register(0, select.POLLIN)
            else:
                with contextlib.suppress(KeyError):
                    poll.unregister(0)
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._far in ready and not (self._write() and self._read()):
                return None
            if 0 in ready:
                self._type()
            if self._left:
                self._write()
                os.write(1, b"\r\n")
                return 0
            if self._connection.fileno() in ready:
                received = wire.receive(self._connection)
                if received is None:
                    return None
                if isinstance(status := received[0].get("exit"), int):
                    while self._read(once=True):
                        pass
                    return status

    def _type(self) -> None:
        try:
            data = os.read(0, _BLOCK)
        except OSError:
            data = b""
        if self._keys is not None and data:
            passed, self._left = self._keys.feed(data)
            self._pending += passed
        else:
            self._pending += data
        if not data:
            self._input = False
            if self._packets:
                end = socket.socket(fileno=os.dup(self._far))
                with end, contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_WR)
            else:
                self._pending += b"\x04"

    def _write(self) -> bool:
        """Send what was typed; False when nobody is there to take it."""
        if not self._pending:
            return True
        try:
            del self._pending[: os.write(self._far, self._pending[:8192] if self._packets else self._pending)]
        except BlockingIOError:
            pass
        except OSError:
            self._pending.clear()
            self._input = False
        return True

    def _read(self, *, once: bool = False) -> bool:
        """Show what came; False at the end, with `once` also when there is nothing."""
        try:
            data = os.read(self._far, _BLOCK)
        except BlockingIOError:
            return not once
        except OSError:  # EIO: the last process on the terminal is gone
            return False
        target = 1
        if self._packets and data:
            target, data = 2 if data[0] == _STDERR_MARK else 1, data[1:]
            view = memoryview(data)
        elif not data:
            return False
        else:
            view = memoryview(data)
        while view:
            view = view[os.write(target, view) :]
        return True
