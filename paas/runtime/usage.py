"""What a container uses, as its cgroup and its network namespace count it. See cgroups(7), proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.runtime.cgroups import ROOT, Kind, detect

_UNLIMITED = 1 << 60


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu` in seconds since its start; the rest in bytes. `limit` is that of memory, the machine's own without one."""

    cpu: float = 0.0
    memory: int = 0
    limit: int = 0
    pids: int = 0
    received: int = 0
    sent: int = 0
    read: int = 0
    written: int = 0


def processes(cgroup: str, first: int | None) -> list[int]:
    """The pids of a container: in its cgroup (path below the root) and those below it, and in the pid namespace of its
    `first` process. An OCI runtime that waits for the end of an `exec` is in the cgroup alone."""
    found: set[int] = set()
    for directory, _, _ in os.walk(_tree("pids", cgroup)):
        try:
            found.update(map(int, Path(directory, "cgroup.procs").read_text().split()))
        except OSError:
            continue
    inside = _pid_namespace(first)
    return sorted(pid for pid in found if inside is not None and _pid_namespace(pid) == inside)


def written(pids: Iterable[int]) -> int:
    """Bytes that processes, and those they have waited for, were the first to dirty; what was never brought to the disk
    because it was deleted before is not among them."""
    total = 0
    for pid in pids:
        counts = {words[0]: int(words[1]) for words in _lines(Path(f"/proc/{pid}/io")) if len(words) == 2}
        total += counts.get("write_bytes:", 0) - counts.get("cancelled_write_bytes:", 0)
    return total


def _pid_namespace(pid: int | None) -> str | None:
    try:
        return None if pid is None else str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def of(cgroup: str, pid: int | None) -> Usage:
    """The usage of a container: its cgroup, and any of its processes; all zero without one."""
    if pid is None:
        return Usage()
    memory = _tree("memory", cgroup)
    if detect() is Kind.V2:
        cpu = _fields(memory / "cpu.stat").get("usage_usec", 0) / 1e6
        used, limit, cache = _number(memory / "memory.current"), _number(memory / "memory.max"), "inactive_file"
        read, written = _io_v2(memory / "io.stat")
    else:
        cpu = _number(_tree("cpuacct", cgroup) / "cpuacct.usage") / 1e9
        used, limit = _number(memory / "memory.usage_in_bytes"), _number(memory / "memory.limit_in_bytes")
        cache = "total_inactive_file"
        read, written = _io_v1(_tree("blkio", cgroup) / "blkio.throttle.io_service_bytes")
    received, sent = _network(pid)
    return Usage(
        cpu=cpu,
        memory=max(0, used - _fields(memory / "memory.stat").get(cache, 0)),
        limit=limit if 0 < limit < _UNLIMITED else _machine_memory(),
        pids=_number(_tree("pids", cgroup) / "pids.current"),
        received=received,
        sent=sent,
        read=read,
        written=written,
    )


def _tree(controller: str, cgroup: str) -> Path:
    return ROOT / cgroup if detect() is Kind.V2 else ROOT / controller / cgroup


def _lines(file: Path) -> Iterator[list[str]]:
    try:
        text = file.read_text()
    except OSError:
        return
    for line in text.splitlines():
        yield line.split()


def _number(file: Path) -> int:
    """0 for what is not there, or no number: `max`."""
    for words in _lines(file):
        if words and words[0].isdigit():
            return int(words[0])
    return 0


def _fields(file: Path) -> dict[str, int]:
    return {words[0]: int(words[1]) for words in _lines(file) if len(words) == 2 and words[1].isdigit()}


def _io_v1(file: Path) -> tuple[int, int]:
    totals = {"Read": 0, "Write": 0}
    for words in _lines(file):
        if len(words) == 3 and words[1] in totals:
            totals[words[1]] += int(words[2])
    return totals["Read"], totals["Write"]


def _io_v2(file: Path) -> tuple[int, int]:
    totals = {"rbytes": 0, "wbytes": 0}
    for words in _lines(file):
        for word in words[1:]:
            key, _, value = word.partition("=")
            if key in totals:
                totals[key] += int(value)
    return totals["rbytes"], totals["wbytes"]


def _network(pid: int) -> tuple[int, int]:
    """(received, sent) of all interfaces but loopback, in the network namespace of a process."""
    received = sent = 0
    for words in _lines(Path(f"/proc/{pid}/net/dev")):
        if len(words) > 9 and words[0].endswith(":") and words[0] != "lo:":
            received += int(words[1])
            sent += int(words[9])
    return received, sent


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
