"""Opening paths below a root whose content is not trusted: symlinks are resolved as if the root were `/`.

openat2(2) with RESOLVE_IN_ROOT does this in the kernel (Linux 5.6), without a race between check and use.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH, _RESOLVE_IN_ROOT = 0x02, 0x04, 0x08, 0x10
_EAGAIN_TRIES = 16
_libc = ctypes.CDLL(None, use_errno=True)


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def open_in_root(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` below the directory descriptor `root` and return a descriptor. Raises OSError as open(2) does."""
    return _open(root, path, flags, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)


def open_source(path: Path, *, kept: Path) -> int:
    """Open what is to be mounted of the host (O_PATH), following symlinks but for those below `kept`: containers write
    there, and a link of theirs would lead to wherever they like. Raises OSError, ELOOP for such a link."""
    flags = os.O_PATH | os.O_CLOEXEC
    if not path.is_relative_to(kept):
        return os.open(path, flags)
    top = os.open(kept, flags)
    try:
        return _open(top, str(path.relative_to(kept)), flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS)
    finally:
        os.close(top)


def _open(root: int, path: str, flags: int, mode: int, resolve: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    name = os.fsencode(path)
    if b"\0" in name:  # the kernel would see a shorter path than we do
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    for _ in range(_EAGAIN_TRIES):  # the kernel gives EAGAIN when something is renamed during the walk
        opened = int(_libc.syscall(_OPENAT2, root, name, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))))
        if opened >= 0:
            return opened
        number = ctypes.get_errno()
        if number != errno.EAGAIN:
            break
    raise OSError(number, os.strerror(number), path)


def read_in_root(root: int, path: str, limit: int) -> bytes | None:
    """The content of a regular file below `root`, at most `limit` bytes; None when there is none."""
    try:
        opened = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            return None
        with os.fdopen(opened, "rb", closefd=False) as file:
            return file.read(limit)
    except OSError:
        return None
    finally:
        os.close(opened)


def make_directories(root: int, path: str, mode: int = 0o755, owner: int = 0) -> int:
    """Open the directory `path` below `root`, making what is missing (user and group `owner`); returns a descriptor."""
    directory = os.O_RDONLY | os.O_DIRECTORY
    try:
        return open_in_root(root, path or ".", directory)
    except FileNotFoundError:
        pass
    parent, _, name = path.rstrip("/").rpartition("/")
    above = make_directories(root, parent or "/", mode, owner)
    try:
        try:
            os.mkdir(name, mode, dir_fd=above)
            os.chown(name, owner, owner, dir_fd=above, follow_symlinks=False)
            os.chmod(name, mode, dir_fd=above)
        except FileExistsError:
            pass
    finally:
        os.close(above)
    return open_in_root(root, path, directory)
