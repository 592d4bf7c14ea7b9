"""Container logs as conmon writes them: `TIME STREAM P|F TEXT` lines (the CRI log format)."""

from __future__ import annotations

import heapq
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

_BLOCK = 64 << 10
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Line:
    time: str
    stream: str
    text: str


class _Parser:
    """Joins the parts (P) of a long line until its end (F)."""

    def __init__(self) -> None:
        self._parts: dict[bytes, bytes] = {}

    def feed(self, raw: bytes) -> Line | None:
        fields = raw.rstrip(b"\n").split(b" ", 3)
        if len(fields) < 3:
            return None
        time, stream, tag = fields[:3]
        data = self._parts.pop(stream, b"") + (fields[3] if len(fields) == 4 else b"")
        if tag == b"P" and len(data) < _LONGEST:
            self._parts[stream] = data  # joined before it is decoded: a character may be cut in two
            return None
        return Line(*(part.decode("utf-8", "replace") for part in (time, stream, data)))


@dataclass(frozen=True, slots=True)
class Place:
    """How far into which file a log has been read, in bytes; what follows begins with a line.

    The file 0 stands for a log that is not there yet.
    """

    inode: int
    offset: int


def end_of(path: Path) -> Place:
    """Where the next line of a log will begin.

    Given to `tail` and then to `follow`, nothing is shown twice and nothing missed between them.
    """
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            start = max(0, info.st_size - _BLOCK)
            file.seek(start)
            # A line that is being written counts as not there yet.
            offset = start + file.read(info.st_size - start).rfind(b"\n") + 1
            return Place(info.st_ino, offset)
    except FileNotFoundError:
        return Place(0, 0)


def tail(
    path: Path, count: int, wanted: Callable[[Line], bool] | None = None, *, until: Place | None = None
) -> list[Line]:
    """The last `count` lines before a place, or of those that are `wanted`; oldest first; none when there is no log."""
    lines: deque[Line] = deque(maxlen=count)
    parser = _Parser()
    try:
        with path.open("rb") as file:
            info = os.fstat(file.fileno())
            if until is not None and until.inode != info.st_ino:
                return []  # rotated meanwhile: all of what is there now comes after that place
            end = info.st_size if until is None else until.offset
            if wanted is None:
                _seek_back(file, count * 4 + 64, end)
            position = file.tell()
            for raw in file:
                position += len(raw)
                if position > end:
                    break
                if (line := parser.feed(raw)) is not None and (wanted is None or wanted(line)):
                    lines.append(line)
    except FileNotFoundError:
        pass
    return list(lines)


def _seek_back(file: IO[bytes], lines: int, end: int) -> None:
    """Go to the beginning of a line at least so many lines before an offset, reading backwards in blocks."""
    position, seen = end, 0
    while position > 0 and seen <= lines:
        step = min(_BLOCK, position)
        position -= step
        file.seek(position)
        seen += file.read(step).count(b"\n")
    file.seek(position)
    if position > 0:
        file.readline()


def merge(logs: Mapping[Path, Sequence[Line]], count: int) -> list[tuple[Path, Line]]:
    """Lines of several logs in the order of their times, the last `count` of them."""
    streams = [[(line.time, path, line) for line in lines] for path, lines in logs.items()]
    merged = [(path, line) for _, path, line in heapq.merge(*streams, key=lambda item: item[0])]
    return merged[-count:] if count else []


class Stop(Protocol):
    """A threading.Event, as far as following needs one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


def follow(
    places: Mapping[Path, Place], stop: Stop, more: Callable[[], Iterable[Path]] | None = None
) -> Iterator[tuple[Path, Line]]:
    """Lines of logs from their places on, until `stop` is set or every log is gone. Rotation is followed.

    `more` is asked about twice a second for logs that have come meanwhile, which are shown from their beginning; then
    it goes on without any log too.
    """
    followed = {path: _Followed(path, place) for path, place in places.items()}
    seen = set(followed)
    pause, asked = 0.02, time.monotonic()
    try:
        while (followed or more is not None) and not stop.is_set():
            found = False
            if more is not None and time.monotonic() - asked > 0.4:
                asked = time.monotonic()
                for path in set(more()) - seen:
                    seen.add(path)
                    followed[path] = _Followed(path)
            for path, log in list(followed.items()):
                for line in log.read():
                    found = True
                    yield path, line
                if log.gone:
                    log.close()
                    del followed[path]
                    if not log.began:
                        seen.discard(path)  # its container is about to start
            pause = 0.02 if found else min(pause * 1.5, 0.25)
            if not found:
                stop.wait(pause)
    finally:
        for log in followed.values():
            log.close()


class _Followed:
    def __init__(self, path: Path, place: Place | None = None) -> None:
        self._path = path
        self._parser = _Parser()
        self._file: IO[bytes] | None = None
        self._rest = b""
        self.gone = False
        self._open(place)

    def _open(self, place: Place | None = None) -> None:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self.gone = True
            return
        if place is not None and place.inode == os.fstat(self._file.fileno()).st_ino:
            self._file.seek(place.offset)

    def read(self) -> list[Line]:
        if self._file is None:
            return []
        lines = self._lines()
        if not lines and self._is_replaced():
            lines = self._lines()  # what came before the change, after our last look
            self._file.close()
            self._rest = b""
            self._open()
        while self.gone and (last := self._lines()):
            lines += last
        return lines

    def _lines(self) -> list[Line]:
        assert self._file is not None
        data = self._rest + self._file.read(_BLOCK * 16)
        whole, _, self._rest = data.rpartition(b"\n")
        return [line for raw in whole.split(b"\n") if raw and (line := self._parser.feed(raw)) is not None]

    def _is_replaced(self) -> bool:
        """Whether another file stands in its place, or it was cut."""
        assert self._file is not None
        try:
            info = self._path.stat()
        except FileNotFoundError:
            self.gone = True
            return False
        return info.st_ino != os.fstat(self._file.fileno()).st_ino or info.st_size < self._file.tell()

    @property
    def began(self) -> bool:
        """Whether there was anything to read from."""
        return self._file is not None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
