"""The SSH front door as the engine's child: confined before it gets its port, started again when it ends."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from paas.engine.doorchannel import DoorChannel
from paas.engine.hostkeys import HostKey
from paas.engine.logins import Logins
from paas.errors import SystemFailure
from paas.paths import PROJECT, Paths
from paas.settings import Settings
from paas.source import repos
from paas.system import mounts
from paas.system import run as system
from paas.system.files import ensure_directory

log = logging.getLogger(__name__)

_READY = 120.0
"""Seconds; a server that is short of everything just after its start may need them, and one that fails ends at once."""
_SETTINGS = ("data_dir", "run_dir", "user", *(name for name in Settings.__slots__ if name.startswith("ssh_")))
_ALONE = ("unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child=KILL", "--", "catatonit", "--")
"""Namespaces in which it sees no file system but what it is shown and no process but its own; catatonit is the first
of these, and takes in what git leaves behind."""


class FrontDoor:
    """Its standard input is its channel to the engine, whose end it takes as the sign to go: it never outlives the
    engine. `listener` is closed with it."""

    def __init__(
        self, settings: Settings, paths: Paths, listener: socket.socket, keys: Sequence[HostKey], logins: Logins
    ) -> None:
        self._settings = settings
        self._code = paths.code
        self._repos = paths.repos
        self._listener = listener
        self._keys = keys
        self._logins = logins
        self._closing = threading.Event()
        self._process: system.Process | None = None
        self._channel: socket.socket | None = None

    def start(self) -> None:
        """Begin; importing its libraries takes it half a second, which others may use."""
        self._show_code()
        self._process = self._spawn()

    def wait_ready(self) -> None:
        """Returns when it waits for `open`. Raises SystemFailure when it does not; it has said why."""
        assert self._process is not None
        if not self._ready(self._process):
            status = self._process.wait(10)
            raise SystemFailure(f"The SSH front door did not start (status {status})", hint="Its message stands above.")

    def open(self) -> None:
        """Let connections in."""
        threading.Thread(target=self._watch, name="front door", daemon=True).start()

    def hold(self) -> None:
        """Let nobody else in. Those who are inside go on, and who connects waits for the next engine, if somebody keeps
        the listening socket for it."""
        self._closing.set()
        self._listener.close()
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.hold()
        if self._process is not None and self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.shutdown(socket.SHUT_RDWR)  # and wakes the thread that answers it
            _wait_or_kill(self._process)
            self._channel.close()

    def _show_code(self) -> None:
        """Mount the program where the unprivileged account can reach it: it may lie in root's home."""
        ensure_directory(self._code, mode=0o711)
        mounts.unmount(self._code)  # a former engine's, perhaps of a directory that has been replaced meanwhile
        mounts.bind(PROJECT, self._code, read_only=True)

    def _python(self) -> str:
        executable = Path(sys.executable)
        inside = executable.is_relative_to(PROJECT)
        return str(self._code / executable.relative_to(PROJECT) if inside else executable)

    def _spawn(self) -> system.Process:
        environment = {f"PAAS_{name.upper()}": str(getattr(self._settings, name)) for name in _SETTINGS}
        environment |= {"PAAS_SETTINGS": "/nonexistent", "PYTHONPATH": str(self._code), "MALLOC_ARENA_MAX": "2"}
        ours, theirs = socket.socketpair()
        with theirs:
            process = system.start(
                [*_ALONE, self._python(), "-m", "paas", "ssh"],
                stdin=theirs.fileno(),
                stdout=system.PIPE,
                stderr=sys.stderr.fileno(),
                env=environment,
                cwd=self._code,
            )
        self._channel = ours
        return process

    def _ready(self, process: system.Process) -> bool:
        assert process.stdout is not None
        timer = threading.Timer(_READY, process.kill)
        timer.start()
        try:
            return process.stdout.readline() == b"ready\n"
        finally:
            timer.cancel()

    def _watch(self) -> None:
        while True:
            assert self._process is not None and self._channel is not None
            DoorChannel(self._channel, self._keys, self._logins).serve(self._listener)
            if self._closing.wait(0.2):
                return
            status = _wait_or_kill(self._process)
            self._channel.close()
            self._logins.forget()
            log.error("the SSH front door ended with status %s; it is started again", status)
            self._clean()
            self._process = self._spawn()
            self._ready(self._process)

    def _clean(self) -> None:
        """Every git ended with the front door, and what it had received of a push is nobody's any more."""
        try:
            for name in repos.quarantines(self._repos, self._settings.user):
                repos.drop_quarantine(name, self._settings.user)
        except SystemFailure as error:
            log.error("what was received of pushes cannot be removed: %s", error.message)


def _wait_or_kill(process: system.Process) -> int:
    """One whose channel has ended has nothing more to do."""
    try:
        return process.wait(5)
    except system.TimeoutExpired:
        process.kill()
        return process.wait()
