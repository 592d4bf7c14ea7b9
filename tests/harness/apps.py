"""Apps for tests, as the files of a repository."""

from __future__ import annotations

import functools
import io
import tarfile
from pathlib import Path

_BUSYBOX = Path("/bin/busybox")
_APPLETS = tuple(
    word
    for line in (
        "sh cat chmod chown cut dd echo env find grep head httpd id ln ls md5sum mkdir mkfifo mknod mv readlink rm",
        "rmdir seq sleep sort stat touch tr wc wget",
    )
    for word in line.split()
)


@functools.cache
def busybox_root() -> bytes:
    """A whole root directory as a tar, of two megabytes: Debian's static busybox and links to it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("www", 0o755)):
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, mode
            tar.addfile(directory)
        _add(tar, "bin/busybox", _BUSYBOX.read_bytes(), 0o755)
        for applet in _APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n", 0o644)
        _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)
    return stream.getvalue()


def httpd(message: str) -> dict[str, bytes | str]:
    """An app without a base image that answers `message` at `/`: the quickest there is to build and start."""
    return {
        "Dockerfile": "FROM scratch\n"
        "ADD root.tar /\n"
        "COPY index.html /www/\n"
        'CMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]\n',
        "root.tar": busybox_root(),
        "index.html": f"{message}\n",
    }


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
