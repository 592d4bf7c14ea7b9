"""The image all cases build on: a busybox with all its applets, accounts, and files to be changed."""

from __future__ import annotations

import functools
import io
import tarfile

from paas.system.run import run
from tests.harness.apps import busybox_root

_PASSWD = """root:x:0:0:root:/root:/bin/sh
www-data:x:33:33::/var/www:/bin/sh
app:x:1000:1001::/home/app:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
"""
_GROUP = """root:x:0:
www-data:x:33:
staff:x:50:app
app:x:1001:
nogroup:x:65534:
"""
_DIRECTORIES = ("proc", "sys", "dev", "run", "var", "var/www", "home", "data", "data/sub", "usr", "usr/lib", "opt")
_LINKS = {"lib": "usr/lib", "var/run": "/run", "link": "data", "dangling": "nowhere", "file-link": "data/one"}
_FILES = {
    "etc/passwd": _PASSWD,
    "etc/group": _GROUP,
    "etc/hosts": "",
    "etc/hostname": "",
    "etc/resolv.conf": "",
    "data/one": "one\n",
    "data/two": "two\n",
    "data/sub/three": "three\n",
}


@functools.cache
def base_root() -> bytes:
    """The root directory as a tar."""
    stream = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(busybox_root())) as small,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for entry in small:
            if entry.name not in _FILES:
                tar.addfile(entry, small.extractfile(entry) if entry.isreg() else None)
        there = set(small.getnames())
        for applet in run(["/bin/busybox", "--list"]).text.split():
            if f"bin/{applet}" not in there:
                _add(tar, f"bin/{applet}", tarfile.SYMTYPE, target="busybox")
        for name in _DIRECTORIES:
            _add(tar, name, tarfile.DIRTYPE, mode=0o755)
        _add(tar, "home/app", tarfile.DIRTYPE, mode=0o700, owner=(1000, 1001))
        for name, target in _LINKS.items():
            _add(tar, name, tarfile.SYMTYPE, target=target)
        for name, text in _FILES.items():
            _add(tar, name, tarfile.REGTYPE, text.encode())
        _add(tar, "data/owned", tarfile.REGTYPE, b"owned\n", mode=0o640, owner=(33, 50))
        _add(tar, "data/hard", tarfile.LNKTYPE, target="data/two")
    return stream.getvalue()


def _add(
    tar: tarfile.TarFile,
    name: str,
    kind: bytes,
    content: bytes = b"",
    *,
    mode: int = 0o644,
    target: str = "",
    owner: tuple[int, int] = (0, 0),
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, target, len(content)
    entry.uid, entry.gid = owner
    tar.addfile(entry, io.BytesIO(content))
