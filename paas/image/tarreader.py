"""Reading tar archives that nobody vouches for, one entry after the other.

tarfile knows the formats (ustar, GNU's long names and sparse files, PAX); here is what it has not: bounds on what an
entry may take, a quick way through the headers that nearly all entries have, and content that goes from the buffer
straight to a file.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from typing import IO, cast

from paas.errors import InvalidInput

_BUFFER = 1 << 20
_OVERHEAD = 4 << 20
"""Bytes that the headers of one entry may take (long names, extended attributes), and padding at the end."""
_QUICK = frozenset({tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE})
_NUMBERS = ((100, 108), (108, 116), (116, 124), (124, 136), (136, 148), (148, 156))
"""Where a header has its mode, owner, group, size, time and checksum (POSIX.1-2001, pax, "ustar Header Block")."""


class TarReader:
    """The entries of a plain tar, in order."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._source = _Source(stream)
        self._archive: tarfile.TarFile | None = None

    def entries(self) -> Iterator[tarfile.TarInfo]:
        """Whoever takes an entry calls `allow` before the next. Raises what `decompress.DAMAGE` lists."""
        self._archive = archive = tarfile.TarFile(
            fileobj=cast(IO[bytes], self._source), tarinfo=_Header, errors="surrogateescape", errorlevel=1
        )
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            yield member

    def allow(self, member: tarfile.TarInfo) -> None:
        """Let an entry take so much as it says, whose size has been found to be in bounds."""
        self._source.left = member.size + _OVERHEAD

    def write(self, member: tarfile.TarInfo, descriptor: int) -> None:
        """Write the content of the entry that was given last; less of it when the archive ends before."""
        if member.issparse():
            assert self._archive is not None
            content = self._archive.extractfile(member)
            assert content is not None
            with os.fdopen(descriptor, "wb", buffering=0, closefd=False) as file:
                shutil.copyfileobj(content, file, _BUFFER)
            return
        self._source.write(descriptor, member.size)

    def drain(self) -> None:
        """Read on to the end, where the compression has its checksum; give up on an end that never comes."""
        self._source.drain()


class _Source:
    """What tarfile takes for a file that can seek, forwards; it refuses more than the present entry may take."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._buffer = memoryview(b"")
        self._position = 0
        self.left = _OVERHEAD

    def tell(self) -> int:
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        ahead = position - self._position
        if ahead < 0 or whence != io.SEEK_SET:
            raise tarfile.StreamError("the archive leads back")
        while ahead > 0 and (piece := self._take(ahead)):
            ahead -= len(piece)
        return self._position

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, unless the archive ends."""
        piece = self._take(size)
        if len(piece) == size:
            return bytes(piece)
        pieces = [piece]
        missing = size - len(piece)
        while missing > 0 and (piece := self._take(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def write(self, descriptor: int, size: int) -> None:
        while size > 0 and (piece := self._take(size)):
            size -= len(piece)
            while piece:
                piece = piece[os.write(descriptor, piece) :]

    def drain(self) -> None:
        left = _OVERHEAD
        while left > 0 and (piece := self._stream.read(_BUFFER)):
            left -= len(piece)

    def _take(self, size: int) -> memoryview:
        """At most `size` bytes; none at the end."""
        if not self._buffer:
            self._buffer = memoryview(self._stream.read(_BUFFER))
        piece = self._buffer[:size]
        self._buffer = self._buffer[len(piece) :]
        self._position += len(piece)
        self.left -= len(piece)
        if self.left < 0:
            raise InvalidInput("The archive has an entry with headers that are too large")
        return piece


class _Header(tarfile.TarInfo):
    """A header of the kind that nearly all are, read several times as fast; any other goes the long way."""

    __slots__ = ()

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        kind = bytes(buf[156:157])
        if kind in _QUICK and len(buf) == tarfile.BLOCKSIZE:
            try:
                mode, uid, gid, size, time, checksum = (_octal(buf[start:end]) for start, end in _NUMBERS)
            except ValueError:  # of GNU's base-256 numbers, or damaged
                return super().frombuf(buf, encoding, errors)
            if checksum == sum(buf) - sum(buf[148:156]) + 8 * ord(" "):
                header = cls(_text(buf[:100], encoding, errors))
                header.mode, header.uid, header.gid, header.size, header.mtime = mode, uid, gid, size, time
                header.chksum, header.type = checksum, kind
                header.linkname = _text(buf[157:257], encoding, errors)
                prefix = _text(buf[345:500], encoding, errors)
                if kind == tarfile.DIRTYPE:
                    header.name = header.name.rstrip("/")
                if prefix:
                    header.name = f"{prefix}/{header.name}"
                return header
        return super().frombuf(buf, encoding, errors)


def _octal(field: bytes | bytearray) -> int:
    text = field.partition(b"\0")[0].strip()
    if text and not text.isdigit():
        raise ValueError("no octal number")
    return int(text or b"0", 8)


def _text(field: bytes | bytearray, encoding: str, errors: str) -> str:
    return field.partition(b"\0")[0].decode(encoding, errors)
