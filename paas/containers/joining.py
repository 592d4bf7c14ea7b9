"""A container's streams, joined with a caller's descriptors while the caller is there."""

from __future__ import annotations

import os
import select
import socket
import threading
from types import TracebackType

_PACKET = 1 << 16
_PIECE = 4096
"""Bytes that a pipe which can be written to takes without blocking (PIPE_BUF)."""
_STDERR_MARK = 3  # conmon puts 2 (stdout) or 3 (stderr) before each packet


class Join:
    """A context manager: a thread copies inside the block. `attached` is conmon's socket, and is closed at the end.

    The caller's descriptors stay as they are: they may be a terminal's, whose mode is not ours to change.
    """

    def __init__(self, attached: socket.socket, stdin: int | None, stdout: int, stderr: int) -> None:
        self._attached = attached
        self._stdin = stdin
        self._outputs = {False: stdout, True: stderr}
        self._leave = os.eventfd(0, os.EFD_CLOEXEC)
        self._typed = memoryview(b"")
        self._shown = memoryview(b"")
        self._target = stdout
        self._thread = threading.Thread(target=self._run, name="attached", daemon=True)
        attached.setblocking(False)

    def __enter__(self) -> Join:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.eventfd_write(self._leave, 1)
        self._thread.join()
        os.close(self._leave)
        self._attached.close()

    def drained(self, timeout: float) -> bool:
        """Whether all output has been handed on within so many seconds, as the container has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except OSError:
            pass  # one of the two is gone

    def _step(self) -> bool:
        """Wait for one thing to do, and do it; False at the end."""
        poll = select.poll()
        poll.register(self._leave, select.POLLIN)
        ours = self._attached.fileno()
        events = (0 if self._shown else select.POLLIN) | (select.POLLOUT if self._typed else 0)
        if events:
            poll.register(ours, events)
        if self._shown:
            poll.register(self._target, select.POLLOUT)
        if self._stdin is not None and not self._typed:
            poll.register(self._stdin, select.POLLIN)
        ready = dict(poll.poll())
        if self._leave in ready:
            return False
        if self._shown and self._target in ready:
            self._shown = self._shown[os.write(self._target, self._shown[:_PIECE]) :]
        if ours in ready and self._typed and ready[ours] & select.POLLOUT:
            self._typed = self._typed[self._attached.send(self._typed[:_PIECE]) :]
        if ours in ready and not self._shown and ready[ours] & (select.POLLIN | select.POLLHUP | select.POLLERR):
            packet = self._attached.recv(_PACKET)
            if not packet:
                return False
            self._target, self._shown = self._outputs[packet[0] == _STDERR_MARK], memoryview(packet)[1:]
        if self._stdin is not None and self._stdin in ready and not self._typed:
            self._read()
        return True

    def _read(self) -> None:
        assert self._stdin is not None
        try:
            data = os.read(self._stdin, _PIECE)
        except OSError:
            data = b""
        if data:
            self._typed = memoryview(data)
        else:
            self._stdin = None
            self._attached.shutdown(socket.SHUT_WR)
