"""An SSH channel as file descriptors that can be given away: three pipes, or a terminal.

Each direction has a thread of its own, so that a slow client holds up nobody else. Blocks are bounded, and what a pipe
or the client's window does not take stays where it comes from. A descriptor is closed only when no thread uses it any
more: its number may be another session's a moment later.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import struct
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import paramiko

from paas.detaching import KIND, DetachKeys

GONE = (OSError, EOFError, paramiko.SSHException)
"""What paramiko raises when the client, or the connection to it, is there no more."""
_BLOCK = 1 << 16
_LAST_OUTPUT_MS = 200
"""Silence after which output ends when the command has ended but somebody still holds its descriptors."""
_INTERRUPT, _END = b"\x03", b"\x04"
_STDERR_MARK = 3  # conmon puts 2 (stdout) or 3 (stderr) before each packet


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a client asked for with its pty request."""

    term: str
    rows: int
    columns: int


def close(channel: paramiko.Channel) -> None:
    """Close a channel, whether anybody learns of it or not."""
    with contextlib.suppress(*GONE):
        channel.close()


class Streams:
    """`theirs` are the other ends: stdin, stdout, stderr. A context manager that closes the channel at its end."""

    def __init__(self, channel: paramiko.Channel, terminal: Terminal | None) -> None:
        self.channel = channel
        self._ending = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._outputs: list[threading.Thread] = []
        self._threads: list[threading.Thread] = []
        self._on_interrupt: Callable[[], None] = lambda: None
        self._on_detach: Callable[[], None] = lambda: None
        self._keys: DetachKeys | None = None
        self._master: int | None = None
        self._attached: int | None = None
        self._ours: list[int] = []
        self.theirs: tuple[int, int, int]
        try:
            self._open(terminal)
        except OSError:
            for descriptor in (self._ending, *self._ours):
                os.close(descriptor)
            raise

    def _open(self, terminal: Terminal | None) -> None:
        if terminal is not None:
            self._master, slave = os.openpty()
            os.set_blocking(self._master, False)
            self.theirs = (slave, slave, slave)
            self.resize(terminal.rows, terminal.columns)
        else:
            for _ in range(3):
                self._ours += os.pipe2(os.O_CLOEXEC)  # all six are ours until they are there
            in_read, in_write, out_read, out_write, err_read, err_write = self._ours
            self._ours = [in_write, out_read, err_read]
            self.theirs = (in_read, out_write, err_write)

    def __enter__(self) -> Streams:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(
        self,
        on_close: Callable[[], None],
        on_interrupt: Callable[[], None],
        on_detach: Callable[[], None] = lambda: None,
    ) -> None:
        """`theirs` have been given away: close them here and let data flow.

        `on_close` is called once, when the channel is closed by whichever side; `on_interrupt` for each Ctrl-C typed
        into a terminal of ours that would turn it into a signal; `on_detach` when the client has typed the keys that
        leave a container.
        """
        self._close_theirs()
        self._on_detach = on_detach
        self._on_interrupt = on_interrupt
        if self._master is not None:
            self._output(self._master, False)
            self._thread(self._type)
        else:
            stdin, stdout, stderr = self._ours
            for descriptor, send in ((stdout, self.channel.sendall), (stderr, self.channel.sendall_stderr)):
                self._outputs.append(self._thread(self._pour, descriptor, send, True))
                self._ours.remove(descriptor)  # its thread closes it; the others are ours as long as they have none
            self._thread(self._feed, stdin)
            self._ours.remove(stdin)
        self._thread(self._watch, on_close)

    def attach(self, descriptor: int, kind: str) -> None:
        """From now on the client's keys go to `descriptor`, whose output is shown; it is closed in the end."""
        if self._attached is not None:
            os.close(descriptor)
            return
        os.set_blocking(descriptor, False)
        self._keys = DetachKeys() if kind == KIND else None
        self._attached = descriptor
        self._output(descriptor, kind in ("conmon", KIND))

    def resize(self, rows: int, columns: int) -> None:
        with self._lock:
            if self._master is not None:
                fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def finish(self) -> None:
        """The command has ended: wait until the client has all of its output, however slowly it takes it."""
        os.eventfd_write(self._ending, 1)
        for thread in self._outputs:
            thread.join()

    def close(self) -> None:
        """Close the channel, end the threads, close the descriptors."""
        os.eventfd_write(self._ending, 1)
        close(self.channel)
        for thread in self._threads:
            thread.join()
        self._close_theirs()
        with self._lock:
            left = [*self._ours, self._ending]
            left += [descriptor for descriptor in (self._master, self._attached) if descriptor is not None]
            self._ours, self._master, self._attached = [], None, None
        for descriptor in left:
            os.close(descriptor)

    def _close_theirs(self) -> None:
        for descriptor in {*self.theirs} - {-1}:
            os.close(descriptor)
        self.theirs = (-1, -1, -1)

    def _thread(self, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name="stream", daemon=True)
        thread.start()  # raises RuntimeError when there can be no more of them; one that never ran cannot be joined
        self._threads.append(thread)
        return thread

    def _output(self, descriptor: int, framed: bool) -> None:
        send = self._send_packet if framed else self.channel.sendall
        self._outputs.append(self._thread(self._pour, descriptor, send, False))

    def _send_packet(self, packet: bytes) -> None:
        send = self.channel.sendall_stderr if packet[0] == _STDERR_MARK else self.channel.sendall
        send(packet[1:])

    def _watch(self, on_close: Callable[[], None]) -> None:
        self.channel.status_event.wait()  # paramiko sets it when the channel or its connection is closed
        on_close()

    def _pour(self, source: int, send: Callable[[bytes], None], owned: bool) -> None:
        """Output to the client, until its end; or until it is silent once the command has ended."""
        poll = select.poll()
        poll.register(source, select.POLLIN)
        poll.register(self._ending, select.POLLIN)
        patience: int | None = None
        try:
            while True:
                ready = {descriptor for descriptor, _ in poll.poll(patience)}
                if source in ready:
                    try:
                        data = os.read(source, _BLOCK)
                    except BlockingIOError:
                        continue
                    if not data:
                        return
                    send(data)
                elif self._ending in ready:
                    poll.unregister(self._ending)
                    patience = _LAST_OUTPUT_MS
                else:
                    return
        except GONE:
            pass  # the terminal's last user is gone, or the client is
        finally:
            if owned:
                os.close(source)  # whoever still writes learns that nobody reads

    def _feed(self, target: int) -> None:
        """The client's input to a pipe."""
        os.set_blocking(target, False)
        try:
            while data := self.channel.recv(_BLOCK):
                if not self._write(target, data):
                    return
        except GONE:
            pass
        finally:
            os.close(target)

    def _type(self) -> None:
        """The client's keys to our terminal, or to what took its place."""
        while True:
            try:
                data = self.channel.recv(_BLOCK)
            except GONE:
                data = b""
            attached = self._attached
            if attached is None:
                assert self._master is not None
                if _INTERRUPT in data and termios.tcgetattr(self._master)[3] & termios.ISIG:
                    self._on_interrupt()  # no process has this terminal for its own, so none gets the signal
                attached = self._master
            elif self._keys is not None and data:
                data, left = self._keys.feed(data)
                if left:
                    self._write(attached, data)
                    self._leave(attached)
                    return
                if not data:
                    continue
            if not self._write(attached, data or _END) or not data:
                return

    def _leave(self, attached: int) -> None:
        """Show no more of what the container prints, however much that is."""
        with socket.socket(fileno=os.dup(attached)) as far, contextlib.suppress(OSError):
            far.shutdown(socket.SHUT_RDWR)
        self._on_detach()

    def _write(self, target: int, data: bytes) -> bool:
        """All of `data`; False when its reader is gone or the command has ended."""
        view = memoryview(data)
        poll = select.poll()
        poll.register(target, select.POLLOUT)
        poll.register(self._ending, select.POLLIN)
        while view:
            try:
                view = view[os.write(target, view[:8192]) :]
            except BlockingIOError:
                if self._ending in {descriptor for descriptor, _ in poll.poll()}:
                    return False
            except OSError:
                return False
        return True
