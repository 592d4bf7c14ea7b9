"""What is known of containers, whoever made them: from their files, cgroups and processes."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paas.errors import NotFound
from paas.paths import Paths
from paas.runtime import cgroups, conmon, usage
from paas.runtime.bundle import Bundle
from paas.runtime.containergroup import ContainerGroup
from paas.runtime.usage import Usage
from paas.settings import Settings

_EXIT_FILE_PATIENCE = 2.0
"""Seconds to wait for conmon's note after a process is gone; conmon itself may have been killed."""


@dataclass(frozen=True, slots=True)
class Status:
    """`exit_code` as a shell would give it (128 + signal); None while running, and when nobody could note it."""

    running: bool
    exit_code: int | None = None
    oom: bool = False


class Inspection:
    """Thread-safe; changes nothing but logs."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self._settings = settings
        self._paths = paths
        self._places = conmon.Places(paths.run)

    def ids(self) -> set[str]:
        """Containers of which anything is on disk."""
        return {entry.name for folder in (self._paths.containers, self._paths.bundles) for entry in folder.iterdir()}

    def spec(self, id: str) -> dict[str, Any]:
        """What a container was made from, without its environment. Raises NotFound."""
        try:
            value: dict[str, Any] = json.loads((self._home(id) / "spec.json").read_text())
        except (OSError, ValueError):
            raise NotFound(f"There is no container {id[:12]}") from None
        return value

    def pid(self, id: str) -> int | None:
        """The container's first process, seen from the host; None when it is gone."""
        try:
            pid, started = map(int, (self._bundle(id).directory / "started").read_text().split())
        except (OSError, ValueError):
            return None
        return pid if start_time(pid) == started else None

    def status(self, id: str) -> Status:
        if self.pid(id) is not None:
            return Status(running=True)
        oom = cgroups.oom_kills(self._cgroup(id)) > 0
        deadline = time.monotonic() + _EXIT_FILE_PATIENCE
        note = self._places.exits / id
        while self._bundle(id).directory.exists():
            try:
                return Status(running=False, exit_code=int(note.read_text()), oom=oom)
            except (OSError, ValueError):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.005)
        return Status(running=False, oom=oom)

    def uptime(self, id: str) -> float:
        """Seconds since the container's process began, although it may be gone; 0.0 where that is not known. Setting
        the clock does not change it."""
        try:
            started = int((self._bundle(id).directory / "started").read_text().split()[1])
        except (OSError, ValueError, IndexError):
            return 0.0
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")

    def refusals(self, id: str) -> tuple[int, int]:
        """How often a process of the container was killed for want of memory, and one more process refused."""
        return cgroups.oom_kills(self._cgroup(id)), cgroups.refused_forks(self._cgroup(id))

    def note(self, id: str, text: str) -> None:
        """Add a line of ours to a container's log, if it can be written."""
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        with contextlib.suppress(OSError), self.log_path(id).open("a") as log:
            log.write(f"{at} stderr F paas: {text}\n")

    def usage(self, id: str) -> Usage:
        """What a container uses now; all zero when it does not run."""
        return usage.of(self._cgroup(id), self.pid(id))

    def written(self, id: str) -> int:
        """Bytes that its processes, and those of theirs that have ended, have brought to file systems."""
        return usage.written(self.processes(id))

    def processes(self, id: str) -> list[int]:
        """All processes of a container, as the host sees them."""
        return usage.processes(self._cgroup(id), self.pid(id))

    def data(self, id: str) -> Path:
        """What a container has changed: `upper` and `work` of an overlay upon its layers, owners as on disk."""
        return self._home(id) / "data"

    def root(self, id: str) -> Path:
        """The mounted root of a container that runs, without what is mounted in it; owners are the host's."""
        return self._bundle(id).root

    def stubs(self, id: str) -> list[str]:
        """Paths that were made, by us or by crun, only to be mounted over."""
        try:
            found: list[str] = json.loads((self._home(id) / "stubs.json").read_text())
        except FileNotFoundError:
            found = []
        return [*found, "/dev", "/proc", "/sys"]

    def log_path(self, id: str) -> Path:
        return self._home(id) / "log"

    # -- where things are -----------------------------------------------------------------------------------------

    def _home(self, id: str) -> Path:
        return self._paths.containers / id

    def _bundle(self, id: str) -> Bundle:
        return Bundle(self._paths.bundles / id)

    def _group(self, id: str) -> ContainerGroup:
        return ContainerGroup(self._cgroup(id))

    def _cgroup(self, id: str) -> str:
        return f"{self._settings.cgroup}/{id}"


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot: with its pid it names a process for good. See proc(5)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
