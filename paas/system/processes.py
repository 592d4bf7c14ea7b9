"""Processes that are not our children, by pid."""

from __future__ import annotations

import os
import select
from pathlib import Path


def gone_within(pid: int, seconds: float) -> bool:
    """Whether a process (ours or not) has ended within so many seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return readable(descriptor, seconds)
    finally:
        os.close(descriptor)


def readable(descriptor: int, seconds: float = 0) -> bool:
    """Whether a descriptor can be read from within so many seconds; a pidfd can once its process has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def give_up_protection() -> None:
    """Let the OOM killer look at this process as at any other, whatever it inherited."""
    try:
        Path("/proc/self/oom_score_adj").write_text("0")
    except OSError:
        pass  # a kernel that shows none has no OOM killer to be protected from
