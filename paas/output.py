"""What users see: Dokku's line shapes, written to the caller's own descriptors."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Protocol


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
    """Output onto two file descriptors. Safe to use from several threads; lines never interleave."""

    def __init__(self, stdout: int, stderr: int, *, quiet: bool = False) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.quiet = quiet
        self._lock = threading.Lock()

    def heading(self, text: str) -> None:
        if not self.quiet:
            self._write(self._stdout, f"-----> {text}\n")

    def result(self, text: str) -> None:
        if not self.quiet:
            self._write(self._stdout, f"=====> {text}\n")

    def detail(self, text: str) -> None:
        if not self.quiet:
            self._write(self._stdout, "".join(f"       {part}\n" for part in text.splitlines() or [""]))

    def line(self, text: str) -> None:
        self._write(self._stdout, text + "\n")

    def warn(self, text: str) -> None:
        self._write(self._stderr, "".join(f" !     {part}\n" for part in text.splitlines() or [""]))

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


class Discard:
    """Output for work nobody watches."""

    def heading(self, text: str) -> None: ...

    def result(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def line(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def raw(self, data: bytes) -> None: ...


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows aligned in columns two or more spaces apart, the header first."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def pairs(rows: Iterable[tuple[str, str]], indent: str = "       ") -> list[str]:
    """`Key:   value` lines, aligned as Dokku's reports are."""
    items = list(rows)
    width = max((len(key) for key, _ in items), default=0) + 1
    return [f"{indent}{(key + ':').ljust(width)} {value}".rstrip() for key, value in items]


def to_json(value: object) -> str:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


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
