"""Mount system calls that Python has no function for, through ctypes.

Sources: mount(2), umount2(2), and for open_tree, move_mount and mount_setattr the kernel's
Documentation/filesystems/idmappings.rst and include/uapi/linux/mount.h.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from paas.errors import SystemFailure

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE, MS_SHARED = 0x20, 0x1000, 0x2000, 0x4000, 0x40000, 0x100000
MNT_DETACH = 2
CLONE_FS = 0x200
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC, _AT_RECURSIVE = 1, os.O_CLOEXEC, 0x8000
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_IDMAP, _MOUNT_ATTR_RDONLY = 0x100000, 1
# The same numbers on every architecture: these calls are younger than the unified table (Linux 5.1).
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442

_libc = ctypes.CDLL(None, use_errno=True)
_T = TypeVar("_T")


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise SystemFailure(f"{what}: {os.strerror(number)}") from OSError(number, os.strerror(number))
    return result


def mount(source: str, target: Path, kind: str, flags: int = 0, options: str = "") -> None:
    """mount(2). `options` may not exceed a page (4096 bytes less one)."""
    if len(options) >= 4096:
        raise SystemFailure(f"mount options of {len(options)} bytes exceed a page")
    result = _libc.mount(source.encode(), os.fsencode(target), kind.encode(), flags, options.encode())
    _check(result, f"mount {kind} on {target}")


def bind(source: Path, target: Path, *, read_only: bool = False, flags: int = 0) -> None:
    """Bind-mount a file or directory, with `flags` such as MS_NOSUID."""
    _check(_libc.mount(os.fsencode(source), os.fsencode(target), None, MS_BIND, None), f"bind {source} on {target}")
    if read_only:
        flags |= MS_RDONLY
    if flags:
        done = _libc.mount(None, os.fsencode(target), None, MS_BIND | MS_REMOUNT | flags, None)
        _check(done, f"set flags {flags:#x} of {target}")


def become_root(directory: Path) -> None:
    """Make a mount point the root of this mount namespace: nothing outside of it has a name any more."""
    os.chdir(directory)
    _check(_libc.mount(b".", b"/", None, MS_MOVE, None), f"move {directory} to /")
    os.chroot(".")
    os.chdir("/")


def unmount(target: Path) -> None:
    """Detach the mount at `target`, if there is one; it goes when nobody uses it any more."""
    if _libc.umount2(os.fsencode(target), MNT_DETACH) < 0:
        number = ctypes.get_errno()
        if number not in (22, 2):  # EINVAL: not a mount point; ENOENT: not there
            raise SystemFailure(f"unmount {target}: {os.strerror(number)}")


def make_private(target: Path) -> None:
    """Stop mount events from spreading out of `target`, which must be a mount point."""
    _check(_libc.mount(None, os.fsencode(target), None, MS_PRIVATE | MS_REC, None), f"make {target} private")


def make_shared(target: Path) -> None:
    """Let mount events below `target`, which must be a mount point, reach the namespaces that have a copy of it."""
    _check(_libc.mount(None, os.fsencode(target), None, MS_SHARED, None), f"make {target} shared")


def idmapped(source: Path, target: Path, userns: int, *, read_only: bool = False) -> None:
    """Mount a directory or file on another with its owners mapped through the user namespace `userns` (an fd)."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC
    tree = _check(_libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), flags), f"open_tree {source}")
    try:
        attr = _MountAttr(_MOUNT_ATTR_IDMAP | (_MOUNT_ATTR_RDONLY if read_only else 0), 0, 0, userns)
        size = ctypes.sizeof(attr)
        done = _libc.syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, ctypes.byref(attr), ctypes.c_size_t(size))
        _check(done, f"id-mapped mount of {source}")
        moved = _libc.syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
        _check(moved, f"mount {source} on {target}")
    finally:
        os.close(tree)


def mount_points(below: Path) -> list[Path]:
    """Mount points at or below a directory, deepest first, so that they can be unmounted in this order."""
    prefix = str(below)
    found: list[str] = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split(" ", 5)[4].encode().decode("unicode_escape")
        if point == prefix or point.startswith(prefix + "/"):
            found.append(point)
    return [Path(point) for point in sorted(found, key=len, reverse=True)]


def is_mount_point(path: Path) -> bool:
    """Unlike os.path.ismount this knows bind mounts within one file system too."""
    return path in mount_points(path)


def unmount_below(directory: Path) -> None:
    """Detach every mount at or below a directory."""
    for point in mount_points(directory):
        unmount(point)


class MountThread:
    """A thread with a working directory of its own, for mounts whose option text must use short relative paths.

    `lowerdir=` of a deep image would pass the page that mount(2) takes if every layer stood there with its full path.
    chdir(2) is per process, unless the thread has left the shared file-system state with unshare(CLONE_FS).
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Path, Callable[[], object], Future[object]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = False

    def run(self, directory: Path, job: Callable[[], _T]) -> _T:
        """Run `job` with `directory` as working directory and return its result."""
        future: Future[object] = Future()
        with self._lock:
            if not self._started:  # not where it is made: that is when a module is imported
                threading.Thread(target=self._work, name="mounts", daemon=True).start()
                self._started = True
        self._jobs.put((directory, job, future))
        return future.result()  # type: ignore[return-value]

    def _work(self) -> None:
        broken = _libc.unshare(CLONE_FS) < 0
        while True:
            directory, job, future = self._jobs.get()
            try:
                if broken:
                    raise SystemFailure("unshare(CLONE_FS) was refused")
                os.chdir(directory)
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001  handed to the caller, who raises it
                future.set_exception(error)
            finally:
                with contextlib.suppress(OSError):
                    os.chdir("/")  # keep no file system busy
                del job, future


def architecture() -> str:
    """The machine's architecture in OCI's words (Go's GOARCH)."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}.get(machine, machine)
