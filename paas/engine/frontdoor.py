"""The SSH front door as the engine's child: confined once it has its port, started again when it ends."""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

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
    """Its standard input is a pipe whose end it takes as the sign to go: it never outlives the engine."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self._settings = settings
        self._code = paths.code
        self._repos = paths.repos
        self._closing = threading.Event()
        self._process: system.Process | None = None

    def start(self) -> None:
        """Begin; importing its libraries takes it half a second, which others may use."""
        self._show_code()
        self._process = self._spawn()

    def wait_ready(self) -> None:
        """Returns when it accepts connections. Raises SystemFailure when it does not; it has said why."""
        assert self._process is not None
        if not self._ready(self._process):
            status = self._process.wait(10)
            raise SystemFailure(f"The SSH front door did not start (status {status})", hint="Its message stands above.")
        threading.Thread(target=self._watch, name="front door", daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        if self._process is not None:
            _end(self._process)

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
        return system.start(
            [*_ALONE, self._python(), "-m", "paas", "ssh"],
            stdin=system.PIPE,
            stdout=system.PIPE,
            stderr=sys.stderr.fileno(),
            env=environment,
            cwd=self._code,
        )

    def _ready(self, process: system.Process) -> bool:
        assert process.stdout is not None
        timer = threading.Timer(_READY, process.kill)
        timer.start()
        try:
            return process.stdout.readline() == b"ready\n"
        finally:
            timer.cancel()

    def _watch(self) -> None:
        while not self._closing.is_set():
            assert self._process is not None
            status = self._process.wait()
            if self._closing.wait(0.2):
                return
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


def _end(process: system.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(5)
    except system.TimeoutExpired:
        process.kill()
        process.wait(5)
