"""What users see: Dokku's line shapes, written to the caller's own descriptors."""

from __future__ import annotations

import json
import os
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol

_HEADING, _RESULT, _WARNING, _BOLD, _PLAIN = "\x1b[1;36m", "\x1b[1;32m", "\x1b[1;31m", "\x1b[1m", "\x1b[0m"
_NARROWEST = 8
"""Cells that a column keeps when a table is too wide."""


_STEERING = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
"""Control characters as text: names and lines that others have written may not steer the reader's terminal."""


class Hangup(Exception):
    """The reader of our output is gone."""


class Output(Protocol):
    """Where a stage tells the user what it does. Every method takes text without a newline at its end."""

    def heading(self, text: str) -> None:
        """`-----> text`: a stage begins."""

    def result(self, text: str) -> None:
        """`=====> text`: the outcome."""

    def detail(self, text: str) -> None:
        """Seven spaces, then text."""

    def line(self, text: str) -> None:
        """Text as it is."""

    def warn(self, text: str) -> None:
        """` !     text`, on the error stream."""

    def raw(self, data: bytes) -> None:
        """Bytes as they are: the output of a build step, a log."""


class StreamOutput:
    """Output onto two file descriptors. Safe to use from several threads; lines never interleave.

    `colour` for what of them is a terminal; `columns` is its width, which tables keep within, 0 for no limit.
    """

    def __init__(
        self, stdout: int, stderr: int, *, quiet: bool = False, colour: bool = False, columns: int = 0
    ) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.quiet = quiet
        self._columns = columns if os.isatty(stdout) else 0
        self._coloured = {descriptor for descriptor in (stdout, stderr) if colour and os.isatty(descriptor)}
        self._lock = threading.Lock()

    def heading(self, text: str) -> None:
        if not self.quiet:
            self._write(self._stdout, f"{self._paint(self._stdout, _HEADING, '----->')} {harmless(text)}\n")

    def result(self, text: str) -> None:
        if not self.quiet:
            self._write(self._stdout, f"{self._paint(self._stdout, _RESULT, '=====>')} {harmless(text)}\n")

    def detail(self, text: str) -> None:
        if not self.quiet:
            self._write(self._stdout, "".join(f"       {part}\n" for part in harmless(text).splitlines() or [""]))

    def line(self, text: str) -> None:
        self._write(self._stdout, text + "\n")

    def warn(self, text: str) -> None:
        mark = self._paint(self._stderr, _WARNING, " !    ")
        self._write(self._stderr, "".join(f"{mark} {part}\n" for part in harmless(text).splitlines() or [""]))

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows in columns. On a terminal the widest columns are cut so that each row is one line; never in a pipe."""
        first, *others = table(header, rows, self._columns)
        self.line(self._paint(self._stdout, _BOLD, first))
        for line in others:
            self.line(line)

    def _paint(self, descriptor: int, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if descriptor in self._coloured else text

    def raw(self, data: bytes) -> None:
        self._write(self._stdout, data)

    def _write(self, descriptor: int, data: str | bytes) -> None:
        view = memoryview(data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace"))
        with self._lock:
            try:
                while view:
                    view = view[os.write(descriptor, view) :]
            except OSError as error:
                raise Hangup from error


class Prefixed:
    """Output of one of several pieces of work that go on side by side: each line says whose it is."""

    def __init__(self, out: Output, name: str) -> None:
        self._out = out
        self._name = name
        self._rest = b""

    def heading(self, text: str) -> None:
        self.line(f"-----> {text}")

    def result(self, text: str) -> None:
        self.line(f"=====> {text}")

    def detail(self, text: str) -> None:
        self.line(f"       {text}")

    def line(self, text: str) -> None:
        for part in text.splitlines() or [""]:
            self._out.line(f"{self._name}: {part}")

    def warn(self, text: str) -> None:
        self._out.warn(f"{self._name}: {text}")

    def raw(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self.line(line.decode("utf-8", "replace"))


class Discard:
    """Output for work nobody watches."""

    def heading(self, text: str) -> None: ...

    def result(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def line(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def raw(self, data: bytes) -> None: ...


def harmless(text: str) -> str:
    """With its control characters, but for tabs and line breaks, written out."""
    return text if text.isprintable() else text.translate(_STEERING)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], columns: int = 0) -> list[str]:
    """Rows aligned in columns two or more spaces apart, the header first; within `columns` cells, if that is given."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = _within([max(cells(line[i]) for line in lines) for i in range(len(header))], columns)
    return [
        "   ".join(_padded(cut(cell, width), width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _within(widths: list[int], columns: int) -> list[int]:
    """Take from the widest column, cell by cell, until the table fits or every column is narrow."""
    found = list(widths)
    excess = sum(found) + 3 * (len(found) - 1) - columns if columns else 0
    while excess > 0 and max(found) > _NARROWEST:
        found[found.index(max(found))] -= 1
        excess -= 1
    return found


def cells(text: str) -> int:
    """How many cells of a terminal a text takes: East Asian wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Me", "Mn"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """At most `width` cells of a text, with an ellipsis in place of what is missing."""
    if cells(text) <= width:
        return text
    found, used = "", 0
    for character in text:
        if used + _cells(character) > width - 1:
            break
        found += character
        used += _cells(character)
    return found + "…"


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cells(text))


def pairs(rows: Iterable[tuple[str, str]], indent: str = "       ") -> list[str]:
    """`Key:   value` lines, aligned as Dokku's reports are."""
    items = list(rows)
    width = max((cells(key) for key, _ in items), default=0) + 1
    return [f"{indent}{_padded(key + ':', width)} {value}".rstrip() for key, value in items]


def to_json(value: object, *, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent, sort_keys=True, ensure_ascii=False)


def human_bytes(size: float) -> str:
    """1536 -> '1.5 KiB'."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def since(then: str, now: datetime | None = None) -> str:
    """How long a time (RFC 3339) has passed, as Docker words it: '2 minutes', 'About an hour'; '' for what is no time.

    `now` is this moment unless given.
    """
    try:
        seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(then)).total_seconds()
    except (ValueError, TypeError):
        return ""
    return _duration(max(seconds, 0))


def ago(then: str, now: datetime | None = None) -> str:
    """The same with its direction: '2 minutes ago'."""
    passed = since(then, now)
    return f"{passed} ago" if passed else ""


def _duration(seconds: float) -> str:
    whole, minutes, hours = int(seconds), int(seconds / 60), round(seconds / 3600)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return f"{whole} second{'s' * (whole != 1)}"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    days = hours // 24
    for count, below, unit in ((hours, 48, "hours"), (days, 14, "days"), (days // 7, 9, "weeks")):
        if count < below:
            return f"{count} {unit}"
    return f"{days // 30} months" if days < 730 else f"{days // 365} years"


def decimal_bytes(size: float) -> str:
    """As Docker shows sizes: 1536 -> '1.54kB', 74800000 -> '74.8MB'."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            return f"{size:.3g}{unit}"
        size /= 1000
    raise AssertionError
