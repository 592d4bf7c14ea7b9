"""The control group of one container, made, frozen and removed by us: crun's own way costs 16 ms a container.

crun is told to leave the container where its caller is, and its caller is started in here. What the OCI runtime
specification calls `linux.resources` (config-linux.md) is set here as crun would. See cgroups(7), cgroup-v2.rst, and
for version 1 the kernel's Documentation/admin-guide/cgroup-v1.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from paas.errors import SystemFailure
from paas.runtime.cgroups import ROOT, Kind, detect, joining, kill_all, remove

_NEEDED = ("memory", "pids", "cpu")
_ALSO = ("cpuacct", "blkio", "freezer", "devices")
"""For usage, pause and devices; a host may be without."""
_ON_V2 = ("memory", "pids", "cpu", "io")
_DEVICES = (
    *("c *:* m", "b *:* m"),
    *("c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm"),
    *("c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"),
)
"""null, zero, full, random, urandom, tty, console, ptmx and terminals. Besides, nothing in a container can be a device:
its user namespace may make none, and all that is mounted in it is `nodev`."""
_PATIENCE = 5.0
"""Seconds for processes to be frozen, or that were killed to be gone."""


class ContainerGroup:
    """Known by its path below the root alone, so that the next engine finds it."""

    def __init__(self, cgroup: str) -> None:
        self._path = cgroup

    def create(self, resources: Mapping[str, Any]) -> None:
        """Raises SystemFailure when the host lacks the controllers, or refuses a limit."""
        try:
            if detect() is Kind.V2:
                self._create_v2(resources)
            else:
                self._create_v1(resources)
        except OSError as error:
            raise SystemFailure(f"The limits of a container cannot be set: {error.strerror}") from error

    def joined(self, command: Sequence[str]) -> tuple[str, ...]:
        """The command line that enters the group first."""
        return joining(self._trees(), command)

    def freeze(self) -> None:
        """Stop all its processes; returns when they stand still. Raises SystemFailure."""
        if detect() is Kind.V2:
            self._write("cgroup.freeze", "1")
            done, wanted = "cgroup.events", "frozen 1"
        else:
            self._write("freezer.state", "FROZEN")
            done, wanted = "freezer.state", "FROZEN"
        deadline = time.monotonic() + _PATIENCE
        while wanted not in (self._freezer / done).read_text():
            if time.monotonic() > deadline:
                self.thaw()
                raise SystemFailure("The container's processes cannot be frozen")
            time.sleep(0.001)

    def thaw(self) -> None:
        """Let them go on; nothing happens when they do. Raises SystemFailure when there is no such group."""
        if detect() is Kind.V2:
            self._write("cgroup.freeze", "0")
        else:
            self._write("freezer.state", "THAWED")

    def remove(self) -> None:
        """Kill what is in it, frozen or not, and remove it; harmless when there is nothing."""
        deadline = time.monotonic() + _PATIENCE
        while trees := self._trees():
            for tree in trees:
                kill_all(tree)
            with contextlib.suppress(SystemFailure):  # version 1: what is frozen cannot die
                self.thaw()
            remove(self._path)
            if time.monotonic() > deadline or not any(tree.exists() for tree in trees):
                return
            time.sleep(0.001)  # a process that was killed may be there for a moment

    def _trees(self) -> list[Path]:
        """Its directories: one, or with version 1 that in each hierarchy."""
        tops = [ROOT] if detect() is Kind.V2 else [ROOT / name for name in (*_NEEDED, *_ALSO)]
        return [tree for top in tops if (tree := top / self._path).is_dir()]

    @property
    def _freezer(self) -> Path:
        return (ROOT if detect() is Kind.V2 else ROOT / "freezer") / self._path

    def _write(self, name: str, value: str) -> None:
        try:
            (self._freezer / name).write_text(value)
        except OSError as error:
            raise SystemFailure(f"The container cannot be frozen or thawed: {error.strerror}") from error

    def _create_v1(self, resources: Mapping[str, Any]) -> None:
        for name in (*_NEEDED, *_ALSO):
            if name in _NEEDED or (ROOT / name).is_dir():
                (ROOT / name / self._path).mkdir(parents=True, exist_ok=True)
        devices = ROOT / "devices" / self._path
        if devices.is_dir():
            (devices / "devices.deny").write_text("a")
            for allowed in _DEVICES:
                (devices / "devices.allow").write_text(allowed)
        memory, cpu, pids = (_section(resources, name) for name in ("memory", "cpu", "pids"))
        _set(ROOT / "memory" / self._path / "memory.limit_in_bytes", memory.get("limit"))
        _set(ROOT / "memory" / self._path / "memory.memsw.limit_in_bytes", memory.get("swap"))
        _set(ROOT / "memory" / self._path / "memory.soft_limit_in_bytes", memory.get("reservation"))
        _set(ROOT / "pids" / self._path / "pids.max", pids.get("limit"))
        _set(ROOT / "cpu" / self._path / "cpu.cfs_period_us", cpu.get("period"))
        _set(ROOT / "cpu" / self._path / "cpu.cfs_quota_us", cpu.get("quota"))
        _set(ROOT / "cpu" / self._path / "cpu.shares", cpu.get("shares"))

    def _create_v2(self, resources: Mapping[str, Any]) -> None:
        tree = ROOT
        for part in self._path.split("/"):
            for controller in _ON_V2:
                with contextlib.suppress(OSError):  # there already, or shown at the first limit
                    (tree / "cgroup.subtree_control").write_text(f"+{controller}")
            tree = tree / part
            tree.mkdir(exist_ok=True)
        memory, cpu, pids = (_section(resources, name) for name in ("memory", "cpu", "pids"))
        limit, swap, shares = memory.get("limit"), memory.get("swap"), cpu.get("shares")
        _set(tree / "memory.max", limit)
        if swap is not None:  # of version 1: memory and swap together
            _set(tree / "memory.swap.max", "max" if swap == -1 else max(0, swap - (limit or 0)))
        _set(tree / "memory.low", memory.get("reservation"))
        _set(tree / "pids.max", pids.get("limit"))
        if cpu.get("quota") is not None:
            _set(tree / "cpu.max", f"{cpu['quota']} {cpu.get('period') or 100_000}")
        if shares is not None:  # 2..262144 become 1..10000
            _set(tree / "cpu.weight", 1 + (shares - 2) * 9999 // 262142)


def _section(resources: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return resources.get(name) or {}


def _set(file: Path, value: object) -> None:
    if value is not None:
        file.write_text(str(value))
