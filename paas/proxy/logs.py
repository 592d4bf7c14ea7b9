"""nginx's logs of each app: read, followed, and kept small."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, Protocol

from paas.system.files import write_private

log = logging.getLogger(__name__)

LIMIT = 10 << 20
"""Bytes of one log before its content becomes the former log, which it replaces."""
_BLOCK = 64 << 10
LogKind = Literal["access", "error"]


class Stop(Protocol):
    """A threading.Event, as far as following needs one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


class AppLogs:
    def __init__(self, directory: Path, limit: int = LIMIT) -> None:
        self._directory = directory
        self._limit = limit

    def path(self, app: str, kind: LogKind) -> Path:
        return self._directory / f"{app}-{kind}.log"

    def tail(self, app: str, kind: LogKind, count: int) -> list[str]:
        """The last lines, oldest first, those of the former log before them."""
        path = self.path(app, kind)
        lines = _tail(path, count)
        if len(lines) < count:
            lines = _tail(_former(path), count - len(lines)) + lines
        return lines

    def follow(self, app: str, kind: LogKind, stop: Stop) -> Iterator[str]:
        """Lines as they are written from now on, until `stop` is set."""
        path = self.path(app, kind)
        return self._follow(path, path.stat().st_size if path.exists() else 0, stop)

    def _follow(self, path: Path, position: int, stop: Stop) -> Iterator[str]:
        rest = b""
        while not stop.is_set():
            data = b""
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < position:  # emptied, or another file
                    position, rest = 0, b""
                file.seek(position)
                data = file.read(_BLOCK)
                position += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace")
            if not data:
                stop.wait(0.1)

    def rotate(self) -> None:
        """Move the content of each log that has grown too long aside.

        It is copied and the file emptied: nginx, and the nginx processes it replaced, write with O_APPEND and go on at
        the beginning; told to open anew, their workers could not, for they may not look into this directory. A line
        written between the last read and the cut is lost.
        """
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.name.endswith(".log") and entry.stat().st_size > self._limit:
                        self._rotate(Path(entry.path))

    def _rotate(self, path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 2 * self._limit))
            try:
                write_private(_former(path), "")
                with _former(path).open("wb") as former:
                    while block := file.read(1 << 20):
                        former.write(block)
            except OSError as error:  # a full disk: what was not copied is given up, which makes room
                log.warning("%s cannot be kept: %s", _former(path), error.strerror)
            file.truncate(0)

    def remove(self, app: str) -> None:
        for path in self._all(app):
            path.unlink(missing_ok=True)

    def rename(self, app: str, new: str) -> None:
        for old, to in zip(self._all(app), self._all(new), strict=True):
            with contextlib.suppress(FileNotFoundError):
                old.rename(to)

    def _all(self, app: str) -> list[Path]:
        logs = [self.path(app, "access"), self.path(app, "error")]
        return logs + [_former(path) for path in logs]


def _former(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _tail(path: Path, count: int) -> list[str]:
    if count <= 0:
        return []
    try:
        with path.open("rb") as file:
            data = _end(file, count)
    except FileNotFoundError:
        return []
    lines = data.decode("utf-8", "replace").split("\n")
    return lines[:-1][-count:] if lines[-1] == "" else lines[-count:]


def _end(file: IO[bytes], lines: int) -> bytes:
    """From the beginning of a block with at least so many lines after it."""
    position = file.seek(0, 2)
    blocks: list[bytes] = []
    seen = 0
    while position > 0 and seen <= lines:
        step = min(_BLOCK, position)
        position -= step
        file.seek(position)
        blocks.append(file.read(step))
        seen += blocks[-1].count(b"\n")
    return b"".join(reversed(blocks))
