"""What a container has changed of its image, as `docker diff` tells it: A added, C changed, D deleted."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Set

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def changes(upper: int, lower: int, stubs: Set[str]) -> list[tuple[str, str]]:
    """(kind, path) in the order of paths. `upper` and `lower` are descriptors: of the writable directory, and of the
    image's root. `stubs` are paths made only to be mounted over: they are no change while they are empty."""
    return sorted(_compare(upper, lower, "", stubs), key=lambda change: change[1])


def _compare(upper: int, lower: int | None, path: str, stubs: Set[str]) -> Iterator[tuple[str, str]]:
    for name in _names(upper):
        here = f"{path}/{name}"
        now = os.stat(name, dir_fd=upper, follow_symlinks=False)
        before = _before(lower, name)
        if stat.S_ISCHR(now.st_mode) and now.st_rdev == 0:
            if before is not None:
                yield "D", here
        elif stat.S_ISDIR(now.st_mode):
            yield from _directory(upper, lower, name, here, now, before, stubs)
        elif before is None:
            if not (here in stubs and stat.S_ISREG(now.st_mode) and now.st_size == 0):
                yield "A", here
        elif _look(now) != _look(before):
            yield "C", here


def _directory(
    upper: int,
    lower: int | None,
    name: str,
    here: str,
    now: os.stat_result,
    before: os.stat_result | None,
    stubs: Set[str],
) -> Iterator[tuple[str, str]]:
    inside = os.open(name, _DIRECTORY, dir_fd=upper)
    below: int | None = None
    try:
        if before is not None and stat.S_ISDIR(before.st_mode):
            assert lower is not None
            below = os.open(name, _DIRECTORY, dir_fd=lower)
        found = list(_compare(inside, below, here, stubs))
        if below is not None and "trusted.overlay.opaque" in os.listxattr(inside):
            kept = set(_names(inside))
            found += [("D", f"{here}/{gone}") for gone in _names(below) if gone not in kept]
    finally:
        os.close(inside)
        if below is not None:
            os.close(below)
    if before is None:
        if found or here not in stubs:
            yield "A", here
    elif found or _rights(now) != _rights(before):
        yield "C", here
    yield from found


def _names(directory: int) -> list[str]:
    return os.listdir(directory)


def _before(lower: int | None, name: str) -> os.stat_result | None:
    if lower is None:
        return None
    try:
        return os.stat(name, dir_fd=lower, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _rights(info: os.stat_result) -> tuple[int, int, int]:
    return info.st_mode, info.st_uid, info.st_gid


def _look(info: os.stat_result) -> tuple[int, ...]:
    return (*_rights(info), info.st_size, info.st_mtime_ns, info.st_rdev)
