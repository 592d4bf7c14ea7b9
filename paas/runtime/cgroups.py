"""Control groups: which kind this host has, and what the runtime needs to cope with it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from paas.errors import SystemFailure
from paas.runtime.holder import unshared
from paas.runtime.spec import Allowance
from paas.system import mounts
from paas.system import run as system
from paas.system.files import ensure_directory

ROOT = Path("/sys/fs/cgroup")
_UNIFIED = ROOT / "unified"
_PATIENCE = 5.0
"""Seconds for processes that were killed to be gone."""
_PERIOD = 100_000
"""Microseconds in which a cpu quota counts."""
_JOIN = (
    'n=$1; shift; while [ "$n" -gt 0 ]; do echo 0 >"$1" || exit 125; shift; n=$((n-1)); done;'
    ' { echo 0 >/proc/self/oom_score_adj; } 2>/dev/null; exec "$@"'
)
"""What protects the engine from the OOM killer must not protect what is in a container."""


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


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory` in bytes; `cpus` may be a fraction; `weight` is the share of the cpu against others', of 100."""

    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    weight: int | None = None


class Group:
    """A cgroup (path below the root) with limits that several processes share, made without the OCI runtime.

    crun makes and removes a directory in each of a v1 host's dozen hierarchies for every container, which is most of
    the time that a short one takes; here it is those of the limits, once. See cgroups(7), cgroup-v2.rst.
    """

    def __init__(self, cgroup: str) -> None:
        self.path = cgroup
        self._trees: dict[str, Path] = {}

    def create(self, limits: Limits) -> None:
        """Raises SystemFailure when the host lacks the controllers."""
        try:
            if detect() is Kind.V2:
                self._create_v2(limits)
            else:
                self._create_v1(limits)
        except OSError as error:
            raise SystemFailure(f"The limits of a build cannot be set: {error.strerror}") from error

    def joined(self, command: Sequence[str]) -> tuple[str, ...]:
        """The command line that enters the cgroup first. Entering it from outside would race with what it starts."""
        return joining(self._trees.values(), command)

    def remove(self) -> None:
        """Kill what is still in it, a process that its runtime could not take along perhaps, and remove it."""
        end(self.path)

    def _create_v2(self, limits: Limits) -> None:
        tree = ROOT
        for part in self.path.split("/"):
            for controller in ("memory", "pids", "cpu"):
                with contextlib.suppress(OSError):
                    (tree / "cgroup.subtree_control").write_text(f"+{controller}")
            tree = tree / part
            tree.mkdir(exist_ok=True)
        self._trees = {"": tree}
        if limits.memory is not None:
            (tree / "memory.max").write_text(str(limits.memory))
            with contextlib.suppress(OSError):  # a kernel without swap accounting
                (tree / "memory.swap.max").write_text("0")
        if limits.pids is not None:
            (tree / "pids.max").write_text(str(limits.pids))
        if limits.cpus is not None:
            (tree / "cpu.max").write_text(f"{round(limits.cpus * _PERIOD)} {_PERIOD}")
        if limits.weight is not None:
            (tree / "cpu.weight").write_text(str(limits.weight))

    def _create_v1(self, limits: Limits) -> None:
        for controller in ("memory", "pids", "cpu"):
            tree = ROOT / controller / self.path
            tree.mkdir(parents=True, exist_ok=True)
            self._trees[controller] = tree
        if limits.memory is not None:
            (self._trees["memory"] / "memory.limit_in_bytes").write_text(str(limits.memory))
        if limits.pids is not None:
            (self._trees["pids"] / "pids.max").write_text(str(limits.pids))
        if limits.cpus is not None:
            (self._trees["cpu"] / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (self._trees["cpu"] / "cpu.cfs_quota_us").write_text(str(round(limits.cpus * _PERIOD)))
        if limits.weight is not None:
            (self._trees["cpu"] / "cpu.shares").write_text(str(max(2, limits.weight * 1024 // 100)))


def bound(cgroup: str, memory: int) -> None:
    """What everything below a cgroup may have together: the host's own services have the rest, whatever apps do.

    `memory` in bytes; 0: seven eighths of the machine's. Of processes and threads it is three quarters of those that
    the kernel makes. Raises SystemFailure.
    """
    memory = memory or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8 * 7
    try:
        most = min(int(Path("/proc/sys/kernel", name).read_text()) for name in ("threads-max", "pid_max"))
        pids = most // 4 * 3
        if detect() is Kind.V2:
            tree = ROOT / cgroup
            tree.mkdir(exist_ok=True)
            files = {tree / "memory.max": memory, tree / "pids.max": pids}
            for controller in ("memory", "pids"):
                with contextlib.suppress(OSError):  # it is on already, or _write says what is missing
                    (ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
        else:
            trees = {name: ROOT / name / cgroup for name in ("memory", "pids")}
            for tree in trees.values():
                tree.mkdir(parents=True, exist_ok=True)
            files = {trees["memory"] / "memory.limit_in_bytes": memory, trees["pids"] / "pids.max": pids}
        for file, value in files.items():
            _write(file, value)
    except OSError as error:
        raise SystemFailure(f"The limits of all containers cannot be set: {error.strerror}") from error


def joining(trees: Iterable[Path], command: Sequence[str]) -> tuple[str, ...]:
    """The command line that enters these directories of cgroups first."""
    files = sorted({str(tree / "cgroup.procs") for tree in trees})
    return ("/bin/sh", "-c", _JOIN, "join", str(len(files)), *files, *command)


def allow(cgroup: str, may: Allowance) -> None:
    """Change what a cgroup (path below the root) with running processes may have.

    Raises SystemFailure when it uses more memory than it is to have: the kernel would end its processes.
    """
    try:
        if detect() is Kind.V2:
            allow_v2(ROOT / cgroup, may)
        else:
            allow_v1(ROOT / "memory" / cgroup, ROOT / "cpu" / cgroup, may)
    except OSError as error:
        raise SystemFailure(f"The limits of a running container cannot be changed: {error.strerror}") from error


def allow_v2(tree: Path, may: Allowance) -> None:
    """The same for a cgroup's directory of the one tree. Raises OSError."""
    if may.memory is not None:
        stat = dict(line.split() for line in (tree / "memory.stat").read_text().splitlines())
        held = int((tree / "memory.current").read_text()) - int(stat["file"]) + int(stat.get("shmem", 0))
        if held > may.memory:
            raise OSError(errno.EBUSY, "it uses more memory than that")
    swap = None if may.memory is None or may.memory_swap in (None, -1) else max(0, may.memory_swap - may.memory)
    _write(tree / "memory.max", "max" if may.memory is None else may.memory)
    _write(tree / "memory.swap.max", "max" if swap is None else swap, needed=swap is not None)
    _write(tree / "memory.low", may.memory_reservation or 0)
    quota = "max" if may.cpus is None else round(may.cpus * _PERIOD)
    _write(tree / "cpu.max", f"{quota} {_PERIOD}", needed=may.cpus is not None)
    weight = 100 if may.cpu_shares is None else 1 + (may.cpu_shares - 2) * 9999 // 262142
    _write(tree / "cpu.weight", weight, needed=may.cpu_shares is not None)


def allow_v1(memory: Path, cpu: Path, may: Allowance) -> None:
    """The same for its directories under two of the controllers. Raises OSError."""
    both = memory / "memory.memsw.limit_in_bytes"  # must never be below the other one
    _write(both, -1, needed=False)
    _write(memory / "memory.limit_in_bytes", -1 if may.memory is None else may.memory)
    if may.memory is not None and may.memory_swap is not None:
        _write(both, may.memory_swap)
    _write(memory / "memory.soft_limit_in_bytes", may.memory_reservation or -1)
    _write(cpu / "cpu.cfs_period_us", _PERIOD)
    _write(cpu / "cpu.cfs_quota_us", -1 if may.cpus is None else round(may.cpus * _PERIOD))
    _write(cpu / "cpu.shares", may.cpu_shares or 1024)


def _write(file: Path, value: object, *, needed: bool = True) -> None:
    """Where it is not `needed`, a kernel may be without the file: its value is what nobody would notice."""
    with contextlib.nullcontext() if needed else contextlib.suppress(OSError):
        file.write_text(str(value))


def kill_all(tree: Path) -> None:
    """Kill what is in one directory of a cgroup."""
    with contextlib.suppress(OSError):
        for pid in (tree / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def oom_kills(cgroup: str) -> int:
    """How often the kernel killed a process of this cgroup (path below the root) for want of memory."""
    return _counted("oom_kill", ROOT / cgroup / "memory.events", ROOT / "memory" / cgroup / "memory.oom_control")


def refused_forks(cgroup: str) -> int:
    """How often this cgroup (path below the root) was refused one more process."""
    return _counted("max", ROOT / cgroup / "pids.events", ROOT / "pids" / cgroup / "pids.events")


def _counted(name: str, *files: Path) -> int:
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == name:
                    return int(value)
    return 0


def below(cgroup: str) -> set[str]:
    """Names of the cgroups directly below one (path below the root), in any hierarchy."""
    trees = [ROOT] if detect() is Kind.V2 else [tree for tree in ROOT.iterdir() if tree.is_dir()]
    found = set()
    for tree in trees:
        with contextlib.suppress(OSError):
            found |= {entry.name for entry in (tree / cgroup).iterdir() if entry.is_dir()}
    return found


def end(cgroup: str) -> None:
    """Kill what runs in a cgroup (path below the root) and those in it, in every hierarchy, and remove them."""
    deadline = time.monotonic() + _PATIENCE
    while (tops := [top for top in _tops(cgroup) if top.exists()]) and time.monotonic() < deadline:
        for top in tops:
            for directory, _, _ in os.walk(top):
                kill_all(Path(directory))
        remove(cgroup)
        if any(top.exists() for top in tops):
            time.sleep(0.002)  # a process that was killed may be there for a moment


def _tops(cgroup: str) -> list[Path]:
    """Its directory in each hierarchy, whether it is there or not."""
    return [ROOT / cgroup] if detect() is Kind.V2 else [tree / cgroup for tree in ROOT.iterdir() if tree.is_dir()]


def remove(cgroup: str) -> None:
    """Remove a cgroup (path below the root) and those in it, in every hierarchy; processes must be gone."""
    for top in _tops(cgroup):
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
