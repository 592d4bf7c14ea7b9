"""A layer's directory as a tar stream: the changeset of the OCI image specification (layer.md).

The same directory always gives the same bytes: entries are sorted, owners are numbers, times are whole seconds and only
those of modification. PAX headers (pax(1), POSIX.1-2001) hold what ustar has no room for.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from paas.errors import SystemFailure

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_XATTR = "SCHILY.xattr."
_CHUNK = 1 << 20
_END = bytes(2 * tarfile.BLOCKSIZE)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}
"""Sockets are not among them: no tar has a type for one, and nothing listens on it any more."""

Write = Callable[[bytes], object]
Owners = Callable[[int, int], tuple[int, int]]
"""(user, group) on disk -> those in the tar."""


def write_tar(layer: Path, write: Write) -> None:
    """Give the tar of a layer to `write`, piece by piece of at most a megabyte.

    overlayfs' marks become whiteouts, and its xattrs stay here as do ours; files' capabilities and `user.*` go along.
    A file whose own name begins with `.wh.` is left out: it would delete another one. Raises SystemFailure.
    """
    try:
        _Writer(write, lambda uid, gid: (uid, gid), marks=True).run(layer)
    except OSError as error:
        raise SystemFailure(f"The layer {layer.name} cannot be read: {error.strerror}") from error


def write_tree(
    directory: int,
    name: str,
    write: Write,
    *,
    called: str = "",
    owners: Owners = lambda uid, gid: (uid, gid),
    skip: Set[str] = frozenset(),
) -> None:
    """Give the tar of what `name` is in an open directory to `write`; `called` is its name in the tar.

    With the name `.` it is the directory's content, without those names in it that are to be skipped. `owners` says
    what owners entries have. Raises SystemFailure.
    """
    try:
        _Writer(write, owners, marks=False).run_one(directory, name, called, skip)
    except OSError as error:
        raise SystemFailure(f"{name} cannot be read: {error.strerror}") from error


def header(name: str, size: int) -> bytes:
    """The header of a plain file of root's, from no particular time."""
    info = tarfile.TarInfo(name)
    info.size = size
    return _buffer(info)


def padding(size: int) -> bytes:
    """What follows content of this size, up to the next block."""
    return bytes(-size % tarfile.BLOCKSIZE)


def end() -> bytes:
    """What follows the last entry."""
    return _END


@dataclass(frozen=True, slots=True)
class _Level:
    """A directory that is being gone through."""

    descriptor: int
    path: str
    """With a slash at its end, unless it is the root ('')."""
    names: Iterator[str]
    called: Mapping[str, str] = field(default_factory=dict)
    """What some of them are called in the tar, where that is not their name."""


class _Writer:
    def __init__(self, write: Write, owners: Owners, *, marks: bool) -> None:
        """`marks`: what overlayfs marks as hidden becomes whiteouts; without, there is nothing of that kind."""
        self._write = write
        self._owners = owners
        self._marks = marks
        self._first_names: dict[int, str] = {}
        """By inode, the first name of files with several."""

    def run(self, layer: Path) -> None:
        self._go([self._enter(os.open(layer, _DIRECTORY), "")])

    def run_one(self, directory: int, name: str, called: str, skip: Set[str]) -> None:
        if name == ".":
            level = self._enter(os.open(".", _DIRECTORY, dir_fd=directory), f"{called}/" if called else "")
            self._go([_Level(level.descriptor, level.path, (each for each in level.names if each not in skip))])
            return
        self._go([_Level(os.dup(directory), "", iter([name]), {name: called or name})])

    def _go(self, levels: list[_Level]) -> None:
        try:
            while levels:
                level = levels[-1]
                name = next(level.names, None)
                if name is None:
                    os.close(level.descriptor)
                    levels.pop()
                    continue
                path = level.path + level.called.get(name, name)
                inner = self._entry(level, name, path)
                if inner is not None:
                    levels.append(self._enter(inner, f"{path}/"))
        finally:
            for level in levels:
                os.close(level.descriptor)
        self._write(_END)

    def _enter(self, directory: int, path: str) -> _Level:
        """The directory's own entry, then what it hides (which is to come before what it has), then the rest."""
        info = os.fstat(directory)
        if path or (stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid) != (0o755, 0, 0):
            self._header(path or "./", info, xattrs=_xattrs(directory))
        if self._marks and _is_opaque(directory):
            self._write(_buffer(tarfile.TarInfo(path + _OPAQUE)))
        names = []
        for name in sorted(os.listdir(directory), key=os.fsencode):
            if not self._marks:
                names.append(name)
            elif _is_whiteout(os.stat(name, dir_fd=directory, follow_symlinks=False)):
                self._write(_buffer(tarfile.TarInfo(f"{path}{_WHITEOUT}{name}")))
            elif not name.startswith(_WHITEOUT):
                names.append(name)
        return _Level(directory, path, iter(names))

    def _entry(self, level: _Level, name: str, path: str) -> int | None:
        """Write an entry; a directory is only opened, and returned."""
        info = os.stat(name, dir_fd=level.descriptor, follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            return os.open(name, _DIRECTORY, dir_fd=level.descriptor)
        if info.st_nlink > 1:
            first = self._first_names.setdefault(info.st_ino, path)
            if first != path:
                self._header(path, info, kind=tarfile.LNKTYPE, target=first)
                return None
        if stat.S_ISREG(info.st_mode):
            opened = os.open(name, _FILE, dir_fd=level.descriptor)
            try:
                self._header(path, info, size=info.st_size, xattrs=_xattrs(opened))
                self._content(opened, path, info.st_size)
            finally:
                os.close(opened)
        elif stat.S_ISLNK(info.st_mode):
            self._header(path, info, target=os.readlink(name, dir_fd=level.descriptor))
        elif stat.S_IFMT(info.st_mode) in _TYPES:
            self._header(path, info)
        return None

    def _header(
        self,
        path: str,
        info: os.stat_result,
        *,
        kind: bytes | None = None,
        target: str = "",
        size: int = 0,
        xattrs: dict[str, str] | None = None,
    ) -> None:
        entry = tarfile.TarInfo(path)
        entry.type = kind or _TYPES[stat.S_IFMT(info.st_mode)]
        entry.mode = stat.S_IMODE(info.st_mode)
        entry.uid, entry.gid = self._owners(info.st_uid, info.st_gid)
        entry.mtime = info.st_mtime_ns // 1_000_000_000
        entry.linkname, entry.size = target, size
        if entry.ischr() or entry.isblk():
            entry.devmajor, entry.devminor = os.major(info.st_rdev), os.minor(info.st_rdev)
        entry.pax_headers = xattrs or {}
        self._write(_buffer(entry))

    def _content(self, opened: int, path: str, size: int) -> None:
        left = size
        while left:
            data = os.read(opened, min(left, _CHUNK))
            if not data:
                raise SystemFailure(f"{path} changed while it was read")
            self._write(data)
            left -= len(data)
        self._write(padding(size))


def _buffer(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _is_whiteout(info: os.stat_result) -> bool:
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def _is_opaque(directory: int) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(directory)


def _xattrs(opened: int) -> dict[str, str]:
    """As PAX headers. A name with `=` cannot be written as one."""
    found = {}
    for name in sorted(os.listxattr(opened)):
        wanted = name == "security.capability" or (name.startswith("user.") and not name.startswith("user.overlay."))
        if wanted and "=" not in name:
            found[_XATTR + name] = os.getxattr(opened, name).decode("utf-8", "surrogateescape")
    return found
