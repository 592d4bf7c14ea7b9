"""Compressed streams that nobody vouches for: which kind they are, and their plain content."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from typing import IO, cast

import zstandard

from paas.errors import InvalidInput

DAMAGE = (
    tarfile.TarError,
    EOFError,
    lzma.LZMAError,
    zlib.error,
    gzip.BadGzipFile,
    zstandard.ZstdError,
    ValueError,
    OverflowError,
)
"""What reading raises when the data is damaged; bz2 raises an OSError without a number."""
_BUFFER = 1 << 20
_PIECE = 1 << 18
_ZSTD_WINDOW = 128 << 20
"""Bytes of history that an archive may ask for: what `zstd --long` uses at most."""
_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))


def compression(head: bytes) -> str | None:
    """The name of the compression that data beginning like this (6 bytes) has, by its magic number."""
    return next((name for magic, name in _COMPRESSED if head.startswith(magic)), None)


def decompressed(stream: IO[bytes], kind: str | None) -> IO[bytes]:
    """A stream of the plain content."""
    match kind:
        case None:
            return stream
        case "gzip":
            return cast(IO[bytes], _Gunzip(stream))
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


def peek(stream: IO[bytes], size: int = 512) -> tuple[bytes, IO[bytes]]:
    """The first bytes of a stream, and a stream that still has them. Raises OSError when it is damaged."""
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream, _BUFFER)  # type: ignore[type-var]
    try:
        return buffered.peek(size)[:size], cast(IO[bytes], buffered)
    except (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
        raise OSError(str(error)) from error


class _Gunzip(io.RawIOBase):
    """gzip (RFC 1952), of one member or several, with zeros at its end or without.

    The standard library's takes 8 kB at a time and holds the interpreter's lock for most of it; this one hands zlib,
    which checks length and CRC itself, pieces that are worth another thread.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._input = b""
        self._begun = False
        """Whether the present member has any bytes yet."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, perhaps fewer; none at the end. Raises EOFError, zlib.error, gzip.BadGzipFile."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_BUFFER), b""))
        while size:
            if self._member.eof:
                self._input = self._member.unused_data
                self._member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
                self._begun = False
                self._skip_zeros()
            if not self._input:
                self._input = self._stream.read(_PIECE)
            if not self._input and not self._begun:
                return b""
            data = self._member.decompress(self._input, size)
            if not data and not self._input and not self._member.eof:
                raise EOFError("Compressed file ended before the end-of-stream marker was reached")
            self._begun = True
            self._input = self._member.unconsumed_tail
            if data:
                return data
        return b""

    def _skip_zeros(self) -> None:
        """Between members, and after the last."""
        while True:
            self._input = self._input.lstrip(b"\0")
            if self._input:
                break
            self._input = self._stream.read(_PIECE)
            if not self._input:
                return
        if not b"\x1f\x8b".startswith(self._input[:2]):
            raise gzip.BadGzipFile(f"Not a gzipped file ({self._input[:2]!r})")
