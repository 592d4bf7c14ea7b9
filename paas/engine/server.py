"""The engine's end of the socket: connections, who is at the other end, hang-ups."""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paas import wire
from paas.errors import SystemFailure
from paas.system.files import ensure_directory

log = logging.getLogger(__name__)

_PEER = struct.Struct("3i")
_TO_END = 10.0
"""Seconds that requests may take to give up when the engine is stopped. A deploy that waits for the checks of its new
instances needs a moment to remove them; one past its switch needs less."""
_FIRST_FRAME = 10.0
"""Seconds a client has to say what it wants."""
_LATER = 4096
"""Bytes of what it may say after that: a size, a signal."""
_MOST = 1024
"""Requests at once of an account other than root: what the front door may hold of the engine's threads."""


@dataclass(slots=True, eq=False)
class Session:
    """One request: what was asked, by which process, with which descriptors."""

    connection: socket.socket
    uid: int
    request: wire.Frame
    descriptors: list[int]
    hung_up: threading.Event
    resized: Callable[[int, int], None] = lambda rows, columns: None
    size: tuple[int, int] | None = None
    """The latest size the client has told, rows and columns."""
    signal: str = ""
    """What the client's process was asked to end with, such as INT; '' for nothing yet."""

    def attach(self, kind: str, descriptor: int) -> None:
        """Let the client's terminal talk to a descriptor of ours."""
        try:
            wire.send(self.connection, {"attach": kind}, (descriptor,))
        except OSError:
            self.hung_up.set()

    def on_resize(self, callback: Callable[[int, int], None]) -> None:
        """Also told at once of a size that came before anybody asked for it."""
        self.resized = callback
        if self.size is not None:
            callback(*self.size)

    def finish(self, answer: wire.Frame) -> None:
        """The last frame. The client may be gone already."""
        try:
            wire.send(self.connection, answer)
        except OSError:
            pass


class Server:
    """Accepts connections on a unix socket; each is handled on a thread of its own."""

    def __init__(self, path: Path, group: int, handler: Callable[[Session], None]) -> None:
        self._path = path
        self._group = group
        self._handler = handler
        self._listening = False
        self._closed = False
        self._lock = threading.Lock()
        self._serving: Counter[int] = Counter()
        """Requests at work, by uid."""
        self._sessions: set[Session] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(target=self._accept, name="socket", daemon=True)

    def listen(self) -> None:
        """Root and members of the group may connect; they wait until `start`. Raises SystemFailure."""
        ensure_directory(self._path.parent, mode=0o750, owner=(0, self._group))
        if self._path.exists():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                if probe.connect_ex(str(self._path)) == 0:
                    raise SystemFailure(f"Another engine is running ({self._path})", hint="Stop it first.")
            self._path.unlink()
        self._listener.bind(str(self._path))
        os.chown(self._path, 0, self._group)
        self._path.chmod(0o660)
        self._listener.listen(128)
        self._listening = True

    def start(self) -> None:
        """Answer those who have connected, and whoever comes."""
        if not self._listening:
            self.listen()
        self._thread.start()

    @property
    def accepts(self) -> bool:
        """Whether the thread lives that takes connections."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Answer nobody else; what is at work is given up as if its client had left, unless it is past that, and the
        client is told. Waits for it, to a limit."""
        self._closed = True
        self._path.unlink(missing_ok=True)
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        deadline = time.monotonic() + _TO_END
        while time.monotonic() < deadline:
            with self._lock:
                sessions = list(self._sessions)
            if not sessions:
                return
            for session in sessions:
                session.hung_up.set()
            time.sleep(0.01)
        log.warning("%d requests had not ended %.0f seconds after they were given up", len(sessions), _TO_END)

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if not self._closed:  # out of descriptors, say: it waits in the queue
                    log.error("a connection could not be accepted: %s", error)
                    time.sleep(0.1)
                continue
            try:
                threading.Thread(target=self._serve, args=(connection,), name="session", daemon=True).start()
            except RuntimeError as error:  # out of threads or of memory
                log.error("a request could not be served: %s", error)
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
            _, uid, _ = _PEER.unpack(peer)
            with self._lock:
                self._serving[uid] += 1
                busy = uid != 0 and self._serving[uid] > _MOST
            try:
                if busy:
                    wire.send(connection, {"exit": 1, "error": "Too many requests at once", "hint": "Try again."})
                else:
                    self._answer(connection, uid)
            except (OSError, wire.WireError) as error:
                log.info("a client was dropped: %s", error)
            finally:
                with self._lock:
                    self._serving[uid] -= 1
                try:
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that listens
                except OSError:
                    pass

    def _answer(self, connection: socket.socket, uid: int) -> None:
        received = wire.receive(connection, deadline=time.monotonic() + _FIRST_FRAME)
        if received is None:
            return
        request, descriptors = received
        try:
            connection.settimeout(None)
            session = Session(connection, uid, request, descriptors, threading.Event())
            threading.Thread(target=_listen, args=(session,), name="session events", daemon=True).start()
            with self._lock:
                self._sessions.add(session)
            try:
                self._handler(session)
            finally:
                with self._lock:
                    self._sessions.remove(session)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _listen(session: Session) -> None:
    """What the client says later; its end is a hang-up."""
    while True:
        try:
            received = wire.receive(session.connection, _LATER)
        except (OSError, wire.WireError):
            received = None
        if received is None:
            session.hung_up.set()
            return
        frame, descriptors = received
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(name := frame.get("signal"), str):
            session.signal = name
            session.hung_up.set()  # Ctrl-C: the work is given up, and the client still learns how it ended
        size = frame.get("winch")
        if isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and 0 < n < 10000 for n in size):
            session.size = (size[0], size[1])
            try:
                session.resized(size[0], size[1])
            except OSError:
                pass  # the terminal has gone meanwhile
