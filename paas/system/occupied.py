"""What a directory, and processes by files they hold open, take of a file system: blocks and inodes.

Whoever writes there may be hostile and go on writing: no symlink is followed and no name looked up but in a directory
that is open already, so nothing leads elsewhere; the work is bounded. Of sparse files their blocks count, of hard links
the first. Besides being imported it is run by itself (see paas.runtime.measuring), so it needs the standard library
alone.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

DEEPEST = 256
"""Levels of directories. Whoever nests them deeper is not measured, but told so."""
_MOST = 2_000_000
"""Inodes after which nobody counts on."""
_BLOCK = 512
_GLANCE = 256
"""Inodes between two looks at the clock."""
_DELETED = " (deleted)"
_NICE = 5
"""Not the least there is: busy containers must not keep us from finding out about them."""
_SYS_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_LOWEST_BEST_EFFORT = 2 << 13 | 7
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class Occupied:
    bytes: int = 0
    inodes: int = 0
    whole: bool = True
    """False: a bound was reached, and it is this much at least."""
    too_deep: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the counting may end: beyond so many bytes or inodes, or after so many seconds."""

    bytes: int | None = None
    inodes: int | None = None
    seconds: float = 10.0


def occupied(top: str, bounds: Bounds, pids: Collection[int] = (), devices: Collection[str] = ()) -> Occupied:
    """Of all below `top`, and of the deleted files that processes hold open on its file system and on those that the
    directories `devices` lie on. What is not there takes nothing."""
    count = _Count(bounds)
    try:
        descriptor = os.open(top, _OPEN)
    except OSError:
        return count.found
    places = {os.fstat(descriptor).st_dev}
    count.tree(descriptor)
    for each in devices:
        try:
            places.add(Path(each).stat().st_dev)
        except OSError:
            continue
    count.held_open(pids, places)
    return count.found


class _Count:
    def __init__(self, bounds: Bounds) -> None:
        self.found = Occupied()
        self._bounds = bounds
        self._until = time.monotonic() + bounds.seconds
        self._seen: set[int] = set()
        """Numbers of files with several names, or none."""
        self._looks = 0

    def tree(self, top: int) -> None:
        """All below a directory, whose descriptor is closed."""
        device = os.fstat(top).st_dev
        open_now = [(top, self._in(top))]
        try:
            while open_now:
                above, names = open_now[-1]
                if not names or not self.found.whole:
                    os.close(open_now.pop()[0])
                    continue
                try:
                    below = os.open(names.pop(), _OPEN, dir_fd=above)
                except OSError:
                    continue  # it is gone, or something else by now
                if os.fstat(below).st_dev != device:
                    os.close(below)
                elif len(open_now) >= DEEPEST:
                    self.found.too_deep = True
                    os.close(below)
                else:
                    open_now.append((below, self._in(below)))
        finally:
            for descriptor, _ in open_now:
                os.close(descriptor)

    def held_open(self, pids: Collection[int], devices: Collection[int]) -> None:
        for info in _deleted(pids):
            self._glance()
            if not self.found.whole:
                return
            if info is not None and info.st_nlink == 0 and info.st_dev in devices:
                self._add(info, once=True)

    def _in(self, directory: int) -> list[str]:
        """Count what is in a directory; the names of those in it."""
        below: list[str] = []
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    try:
                        info = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    is_directory = stat.S_ISDIR(info.st_mode)
                    self._add(info, once=not is_directory and info.st_nlink > 1)
                    if not self.found.whole:
                        break
                    if is_directory:
                        below.append(entry.name)
        except OSError:
            pass
        return below

    def _add(self, info: os.stat_result, *, once: bool) -> None:
        self._glance()
        if once:
            if info.st_ino in self._seen:
                return
            self._seen.add(info.st_ino)
        found, bounds = self.found, self._bounds
        found.bytes += info.st_blocks * _BLOCK
        found.inodes += 1
        most = _MOST if bounds.inodes is None else bounds.inodes
        if found.inodes > most or (bounds.bytes is not None and found.bytes > bounds.bytes):
            found.whole = False

    def _glance(self) -> None:
        self._looks += 1
        if self._looks % _GLANCE == 0 and time.monotonic() > self._until:
            self.found.whole = False


def _deleted(pids: Collection[int]) -> Iterator[os.stat_result | None]:
    """Deleted files that processes have open, each thread's own ones as well, or mapped (proc(5)); None for each file
    that is none."""
    for pid in pids:
        tasks = [f"/proc/{pid}/task/{task}/fd" for task in _names(f"/proc/{pid}/task")]
        for folder in (*tasks, f"/proc/{pid}/map_files"):
            try:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                for name in _names(descriptor):
                    try:
                        is_deleted = os.readlink(name, dir_fd=descriptor).endswith(_DELETED)
                        yield os.stat(name, dir_fd=descriptor) if is_deleted else None
                    except OSError:
                        yield None
            finally:
                os.close(descriptor)


def _names(folder: str | int) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def _give_way() -> None:
    """To everybody else, as far as that does not mean never to be served."""
    os.nice(_NICE)
    number = _SYS_IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, _LOWEST_BEST_EFFORT)


def answer() -> None:
    """What the program does: a JSON list of questions comes in; for each a line with its answer goes out."""
    _give_way()
    for top, bounds, pids, devices in json.load(sys.stdin):
        began = time.monotonic()
        found = occupied(top, Bounds(*bounds), pids, devices)
        words = [found.bytes, found.inodes, found.whole, found.too_deep, time.monotonic() - began]
        sys.stdout.write(json.dumps(words) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    answer()
