"""Small tar archives made by hand, the hostile ones as well."""

from __future__ import annotations

import io
import tarfile


def file(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    return _info(name, tarfile.REGTYPE, {"size": len(content), **fields}), content


def directory(name: str, mode: int = 0o755, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    return _info(name, tarfile.DIRTYPE, {"mode": mode, **fields}), b""


def symlink(name: str, target: str, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    return _info(name, tarfile.SYMTYPE, {"linkname": target, **fields}), b""


def hard_link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return _info(name, tarfile.LNKTYPE, {"linkname": target}), b""


def special(name: str, kind: bytes, **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    return _info(name, kind, fields), b""


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _info(name: str, kind: bytes, fields: dict[str, object]) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in fields.items():
        setattr(info, key, value)
    return info
