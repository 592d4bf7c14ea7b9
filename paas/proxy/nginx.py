"""nginx processes: one master for each generation of the configuration."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from paas.errors import SystemFailure
from paas.system import run as system
from paas.system.processes import gone_within

NGINX = "/usr/sbin/nginx"
_STARTING = 30.0
"""Seconds until a master has written its pid; it takes a millisecond, unless the machine has much else to do."""
_READING = 300.0
"""Seconds to read a configuration: thousands of certificates take ten of a whole core."""


class Generation:
    """One nginx with its own configuration, in a directory of its own named `gN`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.number = int(directory.name.removeprefix("g"))

    def start(self, error_log: Path) -> None:
        """Start it; when this returns it accepts connections. Raises SystemFailure with nginx's own message."""
        self._run("-e", str(error_log))
        # What has been started ends as soon as it listens; that it serves shows in the pid, which its child writes.
        deadline = time.monotonic() + _STARTING
        while self.pid is None:
            if time.monotonic() > deadline:
                raise SystemFailure("nginx has ended as soon as it was started")
            time.sleep(0.001)

    def test(self) -> None:
        """Let nginx read its configuration and nothing more. Raises SystemFailure with nginx's own message."""
        self._run("-e", "/dev/null", "-t")

    def _run(self, *flags: str) -> None:
        argv = [NGINX, "-q", "-p", str(self.directory), "-c", str(self._config), *flags]
        done = system.run(argv, timeout=_READING, check=False)
        if done.status != 0:
            lines = [line for line in done.error.splitlines() if "[emerg]" in line] or done.error.splitlines()[-3:]
            said = " ".join(lines).replace(str(self.directory) + "/", "").replace("nginx: ", "")
            raise SystemFailure(f"nginx refuses its configuration: {said}")

    @property
    def pid(self) -> int | None:
        """The master's, None when it is gone."""
        try:
            pid = int((self.directory / "pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self._config).encode() in words else None

    def quit(self) -> None:
        """Accept nothing more, finish what is open, end. Also workers whose master was killed are told."""
        pid = self.pid
        for target in [pid] if pid is not None else self.orphans():
            _signal(target, signal.SIGQUIT)

    def kill(self) -> None:
        """End at once."""
        pid = self.pid
        for target in [pid] if pid is not None else self.orphans():
            _signal(target, signal.SIGTERM)

    def wait(self, seconds: float) -> bool:
        """Whether the master has ended within so many seconds."""
        pid = self.pid
        return pid is None or gone_within(pid, seconds)

    def orphans(self) -> list[int]:
        """Workers that live on although their master is gone: they run in the session it began."""
        try:
            session = int((self.directory / "pid").read_text())
        except (OSError, ValueError):
            return []
        return [pid for pid, sid in _nginx_processes() if sid == session]

    def local_ports(self) -> set[int]:
        """Those in its files."""
        found = set()
        for file in self.directory.rglob("*.conf"):
            for line in file.read_text().splitlines():
                words = line.strip().rstrip(";").split()
                if words[:1] == ["listen"] and words[1].rpartition(":")[2].isdigit():
                    found.add(int(words[1].rpartition(":")[2]))
        return found

    @property
    def _config(self) -> Path:
        return self.directory / "nginx.conf"


def _nginx_processes() -> Iterator[tuple[int, int]]:
    """(pid, session) of every nginx process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, _, rest = (entry / "stat").read_text().partition(" (")[2].partition(") ")
            except OSError:
                continue
            if name == "nginx":
                yield int(entry.name), int(rest.split()[3])


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def free_ports(count: int, low: int, high: int, after: int) -> list[int]:
    """Ports nobody has, beginning after the one given last, so that a new nginx never takes an old one's."""
    found: list[int] = []
    size = high - low + 1
    for offset in range(size):
        port = low + (after - low + 1 + offset) % size
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise SystemFailure("No local ports are left for nginx", hint="Widen the setting proxy_ports.")
