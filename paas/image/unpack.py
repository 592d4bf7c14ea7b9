"""Unpacking tar archives that nobody vouches for: layers, and what ADD extracts.

Nothing is ever written outside of the root: parents are opened with openat2 below it, the last component never follows
a symlink. Whiteouts are those of the OCI image specification (layer.md).
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import stat
import tarfile
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from paas.errors import InvalidInput, SystemFailure
from paas.image.decompress import DAMAGE
from paas.image.tarreader import TarReader
from paas.image.whiteouts import WHITEOUT, make_opaque, white_out
from paas.names import shown
from paas.system.inroot import make_directories, open_in_root

_XATTR = "SCHILY.xattr."
_DEEPEST = 200
_MOST_OPEN = 64
"""Directories that are kept open for the entries to come."""
_ITS_FAULT = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ELOOP,
        errno.EINVAL,
        errno.EMLINK,
        errno.ENAMETOOLONG,
    }
)
"""What the file system says to an entry that makes no sense; everything else is the machine's fault."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Limits:
    """`size` in bytes of content after decompression."""

    size: int = 32 << 30
    entries: int = 4_000_000


def unpack(
    stream: IO[bytes],
    root: int,
    destination: str = "/",
    *,
    whiteouts: bool = False,
    time: int | None = None,
    limits: Limits = Limits(),
    owner_base: int = 0,
) -> None:
    """Unpack a plain tar `stream` into `destination` below the directory descriptor `root`.

    `owner_base` is added to all owners: the first host id of the range of a container whose files these are to be.

    Owners, modes, times (unless `time`, in ns, is given), hard links, file capabilities and user xattrs are kept;
    devices and sockets are left out. Raises InvalidInput for entries that lead outside and beyond the limits.
    """
    reader = TarReader(stream)
    unpacker = _Unpacker(reader, root, destination.rstrip("/"), whiteouts, time, limits, owner_base)
    try:
        with unpacker:
            unpacker.run()
        reader.drain()
    except DAMAGE as error:
        raise InvalidInput(f"The archive is damaged: {error}") from None
    except OSError as error:
        if error.errno is None:  # what bz2 raises for bad data
            raise InvalidInput(f"The archive is damaged: {error}") from None
        if error.errno in _ITS_FAULT:
            raise InvalidInput(
                f"The archive's entry {shown(unpacker.entry)} makes no sense: {error.strerror}"
            ) from None
        raise SystemFailure(f"{shown(unpacker.entry)} cannot be unpacked: {error.strerror}") from error


class _Unpacker:
    def __init__(
        self,
        reader: TarReader,
        root: int,
        destination: str,
        whiteouts: bool,
        time: int | None,
        limits: Limits,
        owner_base: int,
    ) -> None:
        self._reader = reader
        self.entry = ""
        self._root = root
        self._destination = destination
        self._whiteouts = whiteouts
        self._time = time
        self._limits = limits
        self._owner_base = owner_base
        self._most = 0xFFFF_FFFE if owner_base == 0 else 0xFFFF
        self._written = 0
        self._directories: list[tuple[str, int]] = []
        self._open: dict[str, int] = {}
        """By path, descriptors of directories."""
        self._stale = False
        """Something was removed, which may have been a part of their paths."""

    def __enter__(self) -> _Unpacker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_all()

    def run(self) -> None:
        count = 0
        for member in self._reader.entries():
            count += 1
            if count > self._limits.entries:
                raise InvalidInput(f"The archive has more than {self._limits.entries} entries")
            if not 0 <= member.size <= self._limits.size:  # before anybody seeks over it
                raise self._too_large()
            self.entry = member.name
            self._reader.allow(member)
            path = self._path(member.name)
            if path == "":
                continue
            parent, _, name = path.rpartition("/")
            self._place(member, self._parent(parent), name, path)
        for path, time in reversed(self._directories):  # last, as their content changes their times
            with contextlib.suppress(OSError):
                opened = open_in_root(self._root, f"{self._destination}/{path}", _DIRECTORY | os.O_NOFOLLOW)
                try:
                    os.utime(opened, ns=(time, time))
                finally:
                    os.close(opened)

    def _parent(self, path: str) -> int:
        """A descriptor that is closed by us: entries of one directory mostly come together."""
        if self._stale or len(self._open) > _MOST_OPEN:
            self._close_all()
            self._stale = False
        opened = self._open.get(path)
        if opened is None:
            opened = make_directories(self._root, f"{self._destination}/{path}", owner=self._owner_base)
            self._open[path] = opened
        return opened

    def _close_all(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def _path(self, name: str) -> str:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in name:
            raise InvalidInput(f"The archive has an entry {shown(name)}, which leads outside")
        if len(parts) > _DEEPEST or len(name) > 4000 or any(len(os.fsencode(part)) > 255 for part in parts):
            raise InvalidInput(f"The archive has an entry {shown(name)}, which is too long or too deep")
        return "/".join(parts)

    def _too_large(self) -> InvalidInput:
        return InvalidInput(f"The archive's content is larger than {self._limits.size} bytes")

    def _place(self, member: tarfile.TarInfo, directory: int, name: str, path: str) -> None:
        if self._whiteouts and name.startswith(WHITEOUT):
            white_out(directory, name)
        elif member.isreg():
            self._write(member, directory, name)
        elif member.isdir():
            self._make_directory(member, directory, name, path)
        elif not (member.ischr() or member.isblk()):
            self._remove(directory, name)
            self._make_other(member, directory, name)

    def _make_other(self, member: tarfile.TarInfo, directory: int, name: str) -> None:
        if member.islnk():
            self._link(member, directory, name)
            return
        if member.issym():
            if not member.linkname or "\0" in member.linkname:
                raise InvalidInput(f"The archive has a symlink {shown(member.name)} that names nothing")
            os.symlink(member.linkname, name, dir_fd=directory)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=directory)
        else:
            raise InvalidInput(f"The archive has an entry {shown(member.name)} of an unknown type")
        self._dress(member, directory, name)

    def _remove(self, directory: int, name: str) -> None:
        """Make room: the last entry of a name wins."""
        try:
            os.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            shutil.rmtree(name, dir_fd=directory)
        self._stale = True

    def _make_directory(self, member: tarfile.TarInfo, directory: int, name: str, path: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            there = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(there):
                self._remove(directory, name)
                os.mkdir(name, 0o700, dir_fd=directory)
                if self._whiteouts and stat.S_ISCHR(there):  # the layer hides a directory and has one of its own
                    make_opaque(directory, name)
        self._dress(member, directory, name)
        self._directories.append((path, self._time_of(member)))

    def _link(self, member: tarfile.TarInfo, directory: int, name: str) -> None:
        target = open_in_root(
            self._root, f"{self._destination}/{self._path(member.linkname)}", os.O_PATH | os.O_NOFOLLOW
        )
        try:
            if stat.S_ISDIR(os.fstat(target).st_mode):
                raise InvalidInput(f"The archive has a hard link {shown(member.name)} to a directory")
            os.link(f"/proc/self/fd/{target}", name, dst_dir_fd=directory, follow_symlinks=True)
        finally:
            os.close(target)

    def _write(self, member: tarfile.TarInfo, directory: int, name: str) -> None:
        self._written += member.size
        if self._written > self._limits.size:
            raise self._too_large()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            opened = os.open(name, flags, 0o600, dir_fd=directory)
        except FileExistsError:
            self._remove(directory, name)
            opened = os.open(name, flags, 0o600, dir_fd=directory)
        try:
            self._reader.write(member, opened)
            there = os.fstat(opened)
            if there.st_size != member.size:
                raise InvalidInput("The archive ends in the middle of a file")
            owner = self._owner(member)
            if owner != (there.st_uid, there.st_gid):
                os.fchown(opened, *owner)
            os.fchmod(opened, member.mode & 0o7777)  # after the owner, whose change would take set-id bits away
            self._set_xattrs(member, opened)
            time = self._time_of(member)
            os.utime(opened, ns=(time, time))
        finally:
            os.close(opened)

    def _dress(self, member: tarfile.TarInfo, directory: int, name: str) -> None:
        os.chown(name, *self._owner(member), dir_fd=directory, follow_symlinks=False)
        if not member.issym():
            os.chmod(name, member.mode & 0o7777, dir_fd=directory)
            if member.pax_headers:
                opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
                try:
                    self._set_xattrs(member, opened)
                finally:
                    os.close(opened)
        time = self._time_of(member)
        os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)

    def _owner(self, member: tarfile.TarInfo) -> tuple[int, int]:
        """User and group on disk."""
        if not (0 <= member.uid <= self._most and 0 <= member.gid <= self._most):
            raise InvalidInput(f"The archive's entry {shown(member.name)} has an impossible owner")
        return self._owner_base + member.uid, self._owner_base + member.gid

    def _set_xattrs(self, member: tarfile.TarInfo, opened: int) -> None:
        for key, value in member.pax_headers.items():
            xattr = key.removeprefix(_XATTR)
            if xattr == key or xattr.startswith("user.overlay."):
                continue
            if xattr == "security.capability" or xattr.startswith("user."):
                try:
                    os.setxattr(opened, xattr, value.encode("utf-8", "surrogateescape"))
                except OSError as error:
                    if error.errno != errno.ENOTSUP or xattr == "security.capability":
                        raise

    def _time_of(self, member: tarfile.TarInfo) -> int:
        if self._time is not None:
            return self._time
        if not math.isfinite(member.mtime) or abs(member.mtime) >= 1 << 33:
            raise InvalidInput(f"The archive's entry {shown(member.name)} has an impossible time")
        whole = math.floor(member.mtime)  # apart, as a float does not hold that many digits
        return whole * 1_000_000_000 + round((member.mtime - whole) * 1_000_000_000)
