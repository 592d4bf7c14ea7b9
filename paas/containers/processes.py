"""The processes of a container, as `docker top` lists them. See proc(5)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

HEADER = ("UID", "PID", "PPID", "STIME", "TTY", "TIME", "CMD")
_TICK = os.sysconf("SC_CLK_TCK")


def table_of(pids: Iterable[int], owner_base: int) -> list[tuple[str, ...]]:
    """A row for each process that is still there. UID is the container's own, of a range that begins at `owner_base`;
    PID and PPID are the host's."""
    booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    rows = []
    for pid in pids:
        try:
            rows.append(_row(pid, owner_base, booted))
        except (OSError, IndexError, ValueError):
            continue  # ended meanwhile
    return rows


def _row(pid: int, owner_base: int, booted: float) -> tuple[str, ...]:
    place = Path(f"/proc/{pid}")
    name, _, rest = (place / "stat").read_text().partition("(")[2].rpartition(")")
    fields = rest.split()
    parent, terminal, ticks = int(fields[1]), int(fields[4]), int(fields[11]) + int(fields[12])
    began = booted + int(fields[19]) / _TICK
    words = (place / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")
    uid = place.stat().st_uid - owner_base
    seconds = ticks // _TICK
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return (
        str(uid) if uid >= 0 else "?",
        str(pid),
        str(parent),
        time.strftime("%H:%M", time.localtime(began)),
        f"pts/{os.minor(terminal)}" if terminal else "?",
        f"{hours:02}:{minute:02}:{second:02}",
        words or f"[{name}]",
    )
