"""Unpacking tar archives that nobody vouches for: layers, and what ADD extracts.

Nothing is ever written outside of the root: parents are opened with openat2 below it, the last component never follows
a symlink. Whiteouts are those of the OCI image specification (layer.md).
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import math
import os
import shutil
import stat
import tarfile
import zlib
from dataclasses import dataclass
from typing import IO, cast

import zstandard

from paas.errors import InvalidInput, SystemFailure
from paas.names import shown
from paas.system.inroot import make_directories, open_in_root

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_XATTR = "SCHILY.xattr."
_CHUNK = 1 << 20
_DEEPEST = 200
_OVERHEAD = 4 << 20
"""Bytes that the headers of one entry may take (long names, extended attributes), and padding at the end."""
_ZSTD_WINDOW = 128 << 20
"""Bytes of history that an archive may ask for: what `zstd --long` uses at most."""
_DAMAGE = (
    tarfile.TarError,
    EOFError,
    lzma.LZMAError,
    zlib.error,
    gzip.BadGzipFile,
    zstandard.ZstdError,
    ValueError,
    OverflowError,
)
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
_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))


@dataclass(frozen=True, slots=True)
class Limits:
    """`size` in bytes of content after decompression."""

    size: int = 32 << 30
    entries: int = 4_000_000


def compression(head: bytes) -> str | None:
    """The name of the compression that data beginning like this (6 bytes) has, by its magic number."""
    return next((name for magic, name in _COMPRESSED if head.startswith(magic)), None)


def decompressed(stream: IO[bytes], kind: str | None) -> IO[bytes]:
    """A stream of the plain content."""
    match kind:
        case None:
            return stream
        case "gzip":
            return cast(IO[bytes], gzip.GzipFile(fileobj=stream, mode="rb"))
        case "bzip2":
            return bz2.BZ2File(stream)
        case "xz":
            return lzma.LZMAFile(stream)
        case "zstd":
            decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
            return cast(IO[bytes], decompressor.stream_reader(stream, read_across_frames=True, closefd=False))
    raise InvalidInput(f"{kind} archives cannot be read here", hint="Use gzip, bzip2, xz or zstd.")


def looks_like_tar(head: bytes) -> bool:
    """Whether plain data whose first 512 bytes these are is a tar archive with entries."""
    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


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
    metered = _Metered(stream)
    source = cast(IO[bytes], metered)
    unpacker = _Unpacker(metered, root, destination.rstrip("/"), whiteouts, time, limits, owner_base)
    try:
        with tarfile.open(fileobj=source, mode="r|", errorlevel=1, errors="surrogateescape") as archive:
            unpacker.run(archive)
        metered.drain()
    except _DAMAGE as error:
        raise InvalidInput(f"The archive is damaged: {error}") from None
    except OSError as error:
        if error.errno is None:  # what bz2 raises for bad data
            raise InvalidInput(f"The archive is damaged: {error}") from None
        if error.errno in _ITS_FAULT:
            raise InvalidInput(
                f"The archive's entry {shown(unpacker.entry)} makes no sense: {error.strerror}"
            ) from None
        raise SystemFailure(f"{shown(unpacker.entry)} cannot be unpacked: {error.strerror}") from error


class _Metered:
    """A stream that refuses to give more than the present entry may take: tarfile reads headers of any size."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.left = _OVERHEAD

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise InvalidInput("The archive has an entry with headers that are too large")
        return data

    def drain(self) -> None:
        """Read on to the end, where the compression has its checksum; give up on an end that never comes."""
        for _ in range(_OVERHEAD // _CHUNK):
            if not self._stream.read(_CHUNK):
                return


class _Unpacker:
    def __init__(
        self,
        stream: _Metered,
        root: int,
        destination: str,
        whiteouts: bool,
        time: int | None,
        limits: Limits,
        owner_base: int,
    ) -> None:
        self._stream = stream
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

    def run(self, archive: tarfile.TarFile) -> None:
        count = 0
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            count += 1
            if count > self._limits.entries:
                raise InvalidInput(f"The archive has more than {self._limits.entries} entries")
            if not 0 <= member.size <= self._limits.size:  # before anybody seeks over it
                raise self._too_large()
            self.entry = member.name
            self._stream.left = member.size + _OVERHEAD
            path = self._path(member.name)
            if path == "":
                continue
            parent, _, name = path.rpartition("/")
            directory = make_directories(self._root, f"{self._destination}/{parent}", owner=self._owner_base)
            try:
                self._place(archive, member, directory, name, path)
            finally:
                os.close(directory)
        for path, time in reversed(self._directories):  # last, as their content changes their times
            with contextlib.suppress(OSError):
                opened = open_in_root(self._root, f"{self._destination}/{path}", _DIRECTORY | os.O_NOFOLLOW)
                try:
                    os.utime(opened, ns=(time, time))
                finally:
                    os.close(opened)

    def _path(self, name: str) -> str:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in name:
            raise InvalidInput(f"The archive has an entry {shown(name)}, which leads outside")
        if len(parts) > _DEEPEST or len(name) > 4000 or any(len(os.fsencode(part)) > 255 for part in parts):
            raise InvalidInput(f"The archive has an entry {shown(name)}, which is too long or too deep")
        return "/".join(parts)

    def _too_large(self) -> InvalidInput:
        return InvalidInput(f"The archive's content is larger than {self._limits.size} bytes")

    def _place(self, archive: tarfile.TarFile, member: tarfile.TarInfo, directory: int, name: str, path: str) -> None:
        if self._whiteouts and name.startswith(_WHITEOUT):
            self._white_out(directory, name)
            return
        if member.isdir():
            self._make_directory(member, directory, name, path)
            return
        if member.ischr() or member.isblk():
            return
        _remove(directory, name)
        if member.islnk():
            self._link(member, directory, name)
            return
        if member.issym():
            if not member.linkname or "\0" in member.linkname:
                raise InvalidInput(f"The archive has a symlink {shown(member.name)} that names nothing")
            os.symlink(member.linkname, name, dir_fd=directory)
        elif member.isfifo():
            os.mkfifo(name, 0o600, dir_fd=directory)
        elif member.isreg():
            self._write(archive, member, directory, name)
        else:
            raise InvalidInput(f"The archive has an entry {shown(member.name)} of an unknown type")
        self._dress(member, directory, name)

    def _make_directory(self, member: tarfile.TarInfo, directory: int, name: str, path: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            there = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(there):
                _remove(directory, name)
                os.mkdir(name, 0o700, dir_fd=directory)
                if self._whiteouts and stat.S_ISCHR(there):  # the layer hides a directory and has one of its own
                    _make_opaque(directory, name)
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

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, directory: int, name: str) -> None:
        self._written += member.size
        if self._written > self._limits.size:
            raise self._too_large()
        source = archive.extractfile(member)
        assert source is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=directory), "wb", buffering=0) as file:
            shutil.copyfileobj(source, file, _CHUNK)
            if os.fstat(file.fileno()).st_size != member.size:
                raise InvalidInput("The archive ends in the middle of a file")

    def _dress(self, member: tarfile.TarInfo, directory: int, name: str) -> None:
        if not (0 <= member.uid <= self._most and 0 <= member.gid <= self._most):
            raise InvalidInput(f"The archive's entry {shown(member.name)} has an impossible owner")
        owner = self._owner_base
        os.chown(name, owner + member.uid, owner + member.gid, dir_fd=directory, follow_symlinks=False)
        if not member.issym():
            os.chmod(name, member.mode & 0o7777, dir_fd=directory)
            self._set_xattrs(member, directory, name)
        time = self._time_of(member)
        os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)

    def _set_xattrs(self, member: tarfile.TarInfo, directory: int, name: str) -> None:
        for key, value in member.pax_headers.items():
            xattr = key.removeprefix(_XATTR)
            if xattr == key or xattr.startswith("user.overlay."):
                continue
            if xattr == "security.capability" or xattr.startswith("user."):
                opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
                try:
                    os.setxattr(opened, xattr, value.encode("utf-8", "surrogateescape"))
                except OSError as error:
                    if error.errno != errno.ENOTSUP or xattr == "security.capability":
                        raise
                finally:
                    os.close(opened)

    def _time_of(self, member: tarfile.TarInfo) -> int:
        if self._time is not None:
            return self._time
        if not math.isfinite(member.mtime) or abs(member.mtime) >= 1 << 33:
            raise InvalidInput(f"The archive's entry {shown(member.name)} has an impossible time")
        whole = math.floor(member.mtime)  # apart, as a float does not hold that many digits
        return whole * 1_000_000_000 + round((member.mtime - whole) * 1_000_000_000)

    def _white_out(self, directory: int, name: str) -> None:
        """Hide what layers below have; what this layer has itself stays, in whatever order it comes."""
        if name == _OPAQUE:
            _make_opaque(directory, ".")
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", ".."):
            raise InvalidInput(f"The archive has a whiteout {shown(name)}, which names no file")
        if hidden.startswith(_WHITEOUT):
            return  # bookkeeping of aufs
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=directory)
        except FileExistsError:
            if stat.S_ISDIR(os.stat(hidden, dir_fd=directory, follow_symlinks=False).st_mode):
                _make_opaque(directory, hidden)


def _make_opaque(directory: int, name: str) -> None:
    opened = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        os.setxattr(opened, "trusted.overlay.opaque", b"y")
    finally:
        os.close(opened)


def _remove(directory: int, name: str) -> None:
    """Make room: the last entry of a name wins."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=directory)


def peek(stream: IO[bytes], size: int = 512) -> tuple[bytes, IO[bytes]]:
    """The first bytes of a stream, and a stream that still has them. Raises OSError when it is damaged."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream, _CHUNK)  # type: ignore[type-var]
    try:
        return buffered.peek(size)[:size], cast(IO[bytes], buffered)
    except (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise OSError(str(error)) from error
