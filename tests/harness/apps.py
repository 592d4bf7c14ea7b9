"""Apps for tests, as the files of a repository."""

from __future__ import annotations

import functools
import io
import tarfile
from pathlib import Path

from paas.system import run as system

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


_ECHO = r"""#!/bin/sh
# Answers one request: with what it got, or as a WebSocket that repeats.
length=0
head=""
upgrade=""
while IFS= read -r line; do
    line=${line%$(printf '\r')}
    [ -n "$line" ] || break
    head="$head$line
"
    case "$line" in
        Content-Length:*) length=${line#*: } ;;
        Upgrade:*) upgrade=yes ;;
    esac
done
if [ -n "$upgrade" ]; then
    printf 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'
    exec cat
fi
got=$(head -c "$length" | wc -c)
body="${head}Body: $got"
printf 'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s' "${#body}" "$body"
"""


def echo() -> dict[str, bytes | str]:
    """An app that answers with the head of the request and `Body: BYTES`, or as a WebSocket that repeats."""
    return {
        "Dockerfile": "FROM scratch\n"
        "ADD root.tar /\n"
        "COPY echo /\n"
        'CMD ["/bin/sh", "-c", "exec busybox nc -ll -p $PORT -e /echo"]\n',
        "root.tar": busybox_root(),
        "echo": _ECHO,
    }


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


@functools.cache
def python_root() -> bytes:
    """A root directory with the busybox of `busybox_root` and Debian's python3: what recorder.py needs of it."""
    needed = "import sys, socket, select, threading, hashlib, base64, signal, encodings.idna, encodings.latin_1, enum"
    script = f"{needed}; print('\\n'.join(m.__file__ for m in sys.modules.values() if getattr(m, '__file__', None)))"
    python = Path("/usr/bin/python3").resolve()
    modules = system.run([str(python), "-S", "-E", "-s", "-c", script]).text.split()
    extensions = [module for module in modules if module.endswith(".so")]
    linked = system.run(["ldd", str(python), *extensions]).text
    libraries = {word for word in linked.split() if word.startswith("/") and not word.endswith(":")}
    stream = io.BytesIO(busybox_root())
    with tarfile.open(fileobj=stream, mode="a") as tar:
        for name in sorted({*modules, *libraries, str(python)}):
            _add(tar, name.lstrip("/"), Path(name).read_bytes(), 0o755)
        link = tarfile.TarInfo("usr/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, python.name
        tar.addfile(link)
    return stream.getvalue()


def recorder() -> dict[str, bytes | str]:
    """An app that notes what it is asked: see recorder.py."""
    return {
        "Dockerfile": "FROM scratch\n"
        "ADD root.tar /\n"
        "COPY recorder.py /\n"
        'CMD ["/usr/bin/python3", "-S", "-B", "/recorder.py"]\n',
        "root.tar": python_root(),
        "recorder.py": Path(__file__).with_name("recorder.py").read_text(),
    }
