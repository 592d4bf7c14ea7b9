"""Archives and other bytes for contexts, by name. Pure."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable


def _tar(*entries: tuple[str, bytes, dict[str, object]], format: int = tarfile.PAX_FORMAT) -> bytes:
    """Entries are (name, content, fields of TarInfo)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for name, content, fields in entries:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _plain(format: int = tarfile.PAX_FORMAT) -> bytes:
    return _tar(
        ("dir", b"", {"type": tarfile.DIRTYPE, "mode": 0o750, "uid": 3, "gid": 4}),
        ("dir/file", b"inside\n", {"mode": 0o640, "uid": 1000, "gid": 1000}),
        ("dir/program", b"#!/bin/sh\n", {"mode": 0o4755}),
        ("dir/hard", b"", {"type": tarfile.LNKTYPE, "linkname": "dir/file", "mode": 0o640, "uid": 1000, "gid": 1000}),
        ("dir/soft", b"", {"type": tarfile.SYMTYPE, "linkname": "../dir/file"}),
        ("n" * 120 + "/" + "m" * 150, b"long\n", {}),
        format=format,
    )


def _other() -> bytes:
    return _tar(("dir/other", b"other\n", {}), ("top", b"top\n", {}))


def _over() -> bytes:
    """Over what the base has: a file for a file, a file through a symlinked directory, a directory that is there."""
    return _tar(
        ("data/one", b"new one\n", {}),
        ("data", b"", {"type": tarfile.DIRTYPE, "mode": 0o700}),
        ("data/sub", b"", {"type": tarfile.DIRTYPE, "mode": 0o711, "uid": 5}),
    )


def _zip() -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("a"), "a")
    return buffer.getvalue()


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "tar": _plain,
    "tar-gnu": lambda: _plain(tarfile.GNU_FORMAT),
    "tar-gz": lambda: gzip.compress(_plain(), mtime=0),
    "tar-bz2": lambda: bz2.compress(_plain()),
    "tar-xz": lambda: lzma.compress(_plain()),
    "other": _other,
    "over": _over,
    "empty": lambda: _tar(),
    "fifo": lambda: _tar(("pipe", b"", {"type": tarfile.FIFOTYPE, "mode": 0o600})),
    "xattr": lambda: _tar(("noted", b"x", {"pax_headers": {"SCHILY.xattr.user.note": "kept"}})),
    "dotted": lambda: _tar((".", b"", {"type": tarfile.DIRTYPE, "mode": 0o755}), ("./a", b"a\n", {})),
    "gz": lambda: gzip.compress(b"plain text, compressed\n", mtime=0),
    "zip": _zip,
    "ignore-crlf": lambda: b"b\r\nc",
    "binary": lambda: bytes(range(256)),
}
