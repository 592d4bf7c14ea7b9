"""A disk that fills up: how much is left, what others must leave, and a reserve for those that have to write."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.errors import ADVICE, DiskFull, PaasError
from paas.output import human_bytes

log = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SPARE, _SHARE = 256 << 20, 20
"""Builds, pulls and pushes leave so many bytes free, or one in so many of a small disk."""
_SPARE_INODES, _SHARE_OF_INODES = 20_000, 20
"""The same of inodes, where a file system has a number of them."""
_RESERVE, _LEAST = 16 << 20, 100
"""Bytes of the reserve, or one in so many of a small disk."""
_LOW = 1 << 20
"""Bytes left at which the reserve is given up."""


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, is that the disk takes no more."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def advise(error: PaasError) -> PaasError:
    """Add to an error that a full disk has led to what can be done about it."""
    if error.hint is None and is_full(error):
        error.hint = f"The disk is full. {ADVICE}"
    return error


@contextlib.contextmanager
def full_disk_is_told() -> Iterator[None]:
    """Around all that somebody has asked for. Raises DiskFull for the operating system's error."""
    try:
        yield
    except PaasError as error:
        advise(error)
        raise
    except OSError as error:
        if not is_full(error):
            raise
        raise DiskFull() from error


@dataclass(frozen=True, slots=True)
class Left:
    """What a file system has left, and what of that large work leaves; both inodes 0: it makes as many as it needs."""

    bytes: int
    inodes: int
    spare: int
    spare_inodes: int
    total: int

    @property
    def is_spent(self) -> bool:
        return self.bytes < self.spare or self.inodes < self.spare_inodes

    @property
    def critical(self) -> int:
        """Bytes of which apps leave nothing any more, for the engine and databases to go on."""
        return self.spare // 2

    @property
    def critical_inodes(self) -> int:
        return self.spare_inodes // 2

    @property
    def is_critical(self) -> bool:
        return self.bytes < self.critical or self.inodes < self.critical_inodes

    def __str__(self) -> str:
        return f"{human_bytes(self.bytes)} and {self.inodes} files" if self.spare_inodes else human_bytes(self.bytes)


def left_on(place: Path) -> Left:
    found = os.statvfs(place)
    return Left(
        found.f_bavail * found.f_frsize,
        found.f_favail if found.f_files else 0,
        min(_SPARE, found.f_blocks * found.f_frsize // _SHARE),
        min(_SPARE_INODES, found.f_files // _SHARE_OF_INODES),
        found.f_blocks * found.f_frsize,
    )


def spare(place: Path) -> int:
    """Bytes of a place's file system that large work leaves free."""
    return left_on(place).spare


def refuse_when_spent(place: Path) -> Left:
    """What is left. Raises DiskFull, when that is less than is to be spared."""
    left = left_on(place)
    if left.is_spent:
        raise DiskFull(f"The disk is full: {left} are left")
    return left


def refuse_when_full(place: Path, work: str) -> None:
    """Before something large is begun. Raises DiskFull, when less is left than is to be spared."""
    left = left_on(place)
    if left.is_spent:
        raise DiskFull(f"The disk is full: {left} are left, too little for {work}")


class Reserve:
    """A file that takes up space until the disk is full, and goes then: deleting things has to be written down too."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._size = min(_RESERVE, shutil.disk_usage(file.parent).total // _LEAST)
        self._lock = threading.Lock()
        self._there = False

    def keep(self) -> None:
        """Take up the space, where there is plenty."""
        with self._lock:
            self._there = self._file.exists() and self._file.stat().st_size == self._size
            if self._there:
                return
            left = left_on(self._file.parent)
            if left.bytes < 2 * self._size + left.critical:
                return
            try:
                descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    os.posix_fallocate(descriptor, 0, self._size)
                finally:
                    os.close(descriptor)
                self._there = True
            except OSError as error:
                log.warning("no space can be kept in reserve: %s", error.strerror)

    def ease(self) -> None:
        """Give the space up when nearly nothing else is left. Takes about a microsecond."""
        if not self._there:
            return
        left = os.statvfs(self._file.parent)
        if left.f_bavail * left.f_frsize < _LOW:
            with self._lock:
                self._there = False
                self._file.unlink(missing_ok=True)
            log.error("the disk is full; the reserve of %s is given up", human_bytes(self._size))
