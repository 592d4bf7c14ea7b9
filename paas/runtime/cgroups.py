"""Control groups: which kind this host has, and what the runtime needs to cope with it."""

from __future__ import annotations

import contextlib
import os
from enum import StrEnum
from pathlib import Path

from paas.runtime.holder import unshared
from paas.system import mounts
from paas.system import run as system
from paas.system.files import ensure_directory

ROOT = Path("/sys/fs/cgroup")
_UNIFIED = ROOT / "unified"


class Kind(StrEnum):
    V2 = "v2"
    V1 = "v1"
    HYBRID = "hybrid"
    """v1 controllers with an empty v2 tree beside them; crun refuses it while it can see that tree."""


def detect() -> Kind:
    """The host's arrangement, from its mounts."""
    if (ROOT / "cgroup.controllers").exists():
        return Kind.V2
    return Kind.HYBRID if (_UNIFIED / "cgroup.procs").exists() else Kind.V1


class RuntimeNamespace:
    """A mount namespace for conmon and crun in which a hybrid host looks like a v1 one.

    It is made once, pinned, and entered by each of them; mounts of the host below `shared` appear and disappear in it
    too. The engine itself, its mounts and its pins stay in the host's namespace.
    """

    def __init__(self, run: Path) -> None:
        self._pins = run / "ns"
        self._shared = run
        self._needed = detect() is Kind.HYBRID

    def prepare(self) -> None:
        """Make what is needed; what a former engine made is taken over."""
        ensure_directory(self._shared, mode=0o711)
        if not mounts.is_mount_point(self._shared):
            mounts.bind(self._shared, self._shared)
        mounts.make_shared(self._shared)  # again, because a former engine may have been killed in between
        if not self._needed or mounts.is_mount_point(self._pin):
            return
        ensure_directory(self._pins, mode=0o700)
        if not mounts.is_mount_point(self._pins):  # a mount namespace can only be pinned on a private mount
            mounts.bind(self._pins, self._pins)
        mounts.make_private(self._pins)
        self._pin.touch()
        with unshared(("--mount", "--propagation", "slave")) as pid:
            namespace = Path(f"/proc/{pid}/ns/mnt")
            system.run(["nsenter", f"--mount={namespace}", "umount", str(_UNIFIED)])
            mounts.bind(namespace, self._pin)

    @property
    def prefix(self) -> tuple[str, ...]:
        """What stands before conmon's and crun's argument lists."""
        return ("nsenter", f"--mount={self._pin}") if self._needed else ()

    @property
    def _pin(self) -> Path:
        return self._pins / "mount"


def oom_kills(cgroup: str) -> int:
    """How often the kernel killed a process of this cgroup (path below the root) for want of memory."""
    v2, v1 = ROOT / cgroup / "memory.events", ROOT / "memory" / cgroup / "memory.oom_control"
    for file in (v2, v1):
        with contextlib.suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
    return 0


def remove(cgroup: str) -> None:
    """Remove a cgroup (path below the root) and those in it, in every hierarchy; processes must be gone."""
    tops = [ROOT / cgroup] if detect() is Kind.V2 else [tree / cgroup for tree in ROOT.iterdir() if tree.is_dir()]
    for top in tops:
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
