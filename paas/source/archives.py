"""Archives that nobody vouches for, as the files of a commit: tar, plain or compressed, and zip.

Sources of the formats: POSIX pax and ustar as Python's tarfile reads them; APPNOTE.TXT 4.3.16 for zip's end record.
"""

from __future__ import annotations

import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from typing import IO, Literal, cast

import zstandard

from paas.errors import InvalidInput
from paas.image.decompress import compression, decompressed, looks_like_tar, peek
from paas.names import shown
from paas.source.commits import Committer, is_git_directory

Kind = Literal["tar", "tar.gz", "zip"]
KINDS: tuple[Kind, ...] = ("tar", "tar.gz", "zip")

_HEADERS = 1 << 20
"""Bytes that the headers of one entry of a tar may take."""
_ZIP_END = struct.Struct("<4s4H2LH")
_ZIP_DIRECTORY = 1 << 9
"""Bytes of a zip's directory for each file that may be in it."""
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    EOFError,
    lzma.LZMAError,
    zlib.error,
    zstandard.ZstdError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OverflowError,
    struct.error,
    OSError,
)


def kind_of(text: str) -> Kind:
    """Raises InvalidInput."""
    for kind in KINDS:
        if text == kind:
            return kind
    raise InvalidInput(f"{shown(text)} is not a type of archive", hint=f"Known: {', '.join(KINDS)}")


def read_archive(file: IO[bytes], kind: Kind | None, most_files: int, into: Committer) -> int:
    """Add what an archive holds to a commit; returns how many entries were left out, as git has no room for them.

    Without a kind it is seen from the content. Raises InvalidInput.
    """
    head = file.read(512)
    file.seek(0)
    if kind is None:
        kind = "zip" if head.startswith((b"PK\3\4", b"PK\5\6")) else "tar"
    try:
        return _zip(file, most_files, into) if kind == "zip" else _tar(file, most_files, into)
    except _DAMAGE as error:
        raise InvalidInput(f"The archive is damaged, or of another type: {error}") from None


class _Metered:
    """A stream that gives no more than the present entry may take: tarfile reads headers of any size."""

    def __init__(self, stream: IO[bytes], into: Committer) -> None:
        self._stream = stream
        self._into = into
        self.left = _HEADERS

    def read(self, size: int = -1) -> bytes:
        self._into.check()
        data = self._stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise InvalidInput("The archive has an entry with headers that are too large")
        return data


def _tar(file: IO[bytes], most_files: int, into: Committer) -> int:
    left_out = entries = 0
    head, stream = peek(file)
    if compression(head) is None and not looks_like_tar(head):
        raise InvalidInput("This is no tar archive", hint="Known are tar, tar.gz and zip: --archive-type TYPE")
    metered = _Metered(decompressed(stream, compression(head)), into)
    with tarfile.open(fileobj=cast(IO[bytes], metered), mode="r|", errorlevel=1, errors="surrogateescape") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            entries += 1
            if entries > 2 * most_files + 1000:  # directories count here, and only here
                raise InvalidInput(f"The archive has more than {entries - 1} entries")
            metered.left = max(member.size, 0) + _HEADERS
            if member.isdir():
                continue
            if is_git_directory(member.name) or not (member.isreg() or member.issym() or member.islnk()):
                left_out += 1
                into.skip(member.size)
            elif member.issym():
                into.link(member.name, member.linkname)
            elif member.islnk():
                into.same(member.name, member.linkname)
            else:
                content = archive.extractfile(member)
                assert content is not None
                into.file(member.name, member.size, content, executable=bool(member.mode & 0o100))
    return left_out


def _zip(file: IO[bytes], most_files: int, into: Committer) -> int:
    _check_zip(file, most_files)
    left_out = 0
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            mode = member.external_attr >> 16 if member.create_system == 3 else 0
            if member.is_dir():
                continue
            if is_git_directory(member.filename) or (mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFLNK)):
                left_out += 1
                continue
            if member.flag_bits & 1:
                raise InvalidInput(f"{shown(member.filename)} is encrypted")
            with archive.open(member) as content:
                if stat.S_ISLNK(mode):
                    into.link(member.filename, os.fsdecode(content.read(4096)))
                else:
                    into.file(member.filename, member.file_size, content, executable=bool(mode & 0o100))
    return left_out


def _check_zip(file: IO[bytes], most_files: int) -> None:
    """Look at the end record before the directory is read, which is held in memory as a whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 65557, 0))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _ZIP_END.size > len(tail):
        raise InvalidInput("The archive is damaged: this is no zip, or its end is missing")
    _, _, _, _, entries, directory, _, _ = _ZIP_END.unpack_from(tail, at)
    if b"PK\6\7" in tail[max(at - 20, 0) : at]:
        raise InvalidInput("Archives in zip64 form are not read here", hint="Send a tar.gz.")
    if entries > 2 * most_files + 1000 or directory > _ZIP_DIRECTORY * (most_files + 1000):
        raise InvalidInput(f"The archive has more than {most_files} files", hint="See git:set archive-max-files.")
    file.seek(0)
