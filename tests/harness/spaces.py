"""Where to make a mount namespace so that it counts as older than all that come after it."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from paas.system import run as system

_NS_GET_MNTNS_ID = 0x8008B705
"""`_IOR(0xb7, 5, u64)`, linux/nsfs.h; since Linux 6.12."""


def oldest_cpu() -> int | None:
    """The CPU on which namespaces get the lowest numbers; None where that does not matter.

    A mount namespace can be pinned only from one with a lower number, and newer kernels number them from blocks that
    each CPU has to itself: one made later on another CPU may have a lower number than its parent.
    """
    numbers = {cpu: _number_on(cpu) for cpu in os.sched_getaffinity(0)}
    known = {cpu: number for cpu, number in numbers.items() if number is not None}
    return min(known, key=known.__getitem__) if known else None


def _number_on(cpu: int) -> int | None:
    argv = ["taskset", "--cpu-list", str(cpu), "unshare", "--mount", "cat"]
    holder = system.start(argv, stdin=system.PIPE, stdout=system.PIPE)
    assert holder.stdin is not None and holder.stdout is not None
    with holder.stdout as stdout, holder.stdin as stdin:
        stdin.write(b"x")
        stdin.flush()
        stdout.read(1)  # it is cat by now, in its own namespace
        number = _number(holder.pid)
    holder.wait(10)
    return number


def _number(pid: int) -> int | None:
    answer = bytearray(8)
    with Path(f"/proc/{pid}/ns/mnt").open("rb") as namespace:
        try:
            fcntl.ioctl(namespace, _NS_GET_MNTNS_ID, answer)
        except OSError:
            return None  # a kernel that numbers them one by one, or gives no number away
    return int(struct.unpack("=Q", answer)[0])
