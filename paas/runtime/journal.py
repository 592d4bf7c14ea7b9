"""A log that is written by us, in the form in which conmon writes those of containers: paas.runtime.logs reads it."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

from paas.system.files import ensure_directory

_LARGEST = 4 << 20
"""Bytes, after which a new file is begun; the one before is kept, older ones are not."""


class Journal:
    """Thread-safe. What cannot be written, for want of space, is lost: nobody may fail because of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    @property
    def older(self) -> Path:
        """What was written before the file became too large."""
        return self.path.with_suffix(".old")

    def write(self, lines: list[str], stream: str = "stdout") -> None:
        time = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        text = "".join(f"{time} {stream} F {line}\n" for line in lines)
        with self._lock:
            try:
                ensure_directory(self.path.parent, mode=0o700)
                if self.path.exists() and self.path.stat().st_size > _LARGEST:
                    self.path.rename(self.older)
                opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                with os.fdopen(opened, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)
            except OSError:
                pass

    def remove(self) -> None:
        for path in (self.path, self.older):
            path.unlink(missing_ok=True)


class Lines:
    """Bytes as they come, to whole lines; `prefix` stands before each."""

    def __init__(self, journal: Journal, prefix: str) -> None:
        self._journal = journal
        self._prefix = prefix
        self._rest = b""

    def feed(self, data: bytes) -> None:
        whole, newline, rest = (self._rest + data).rpartition(b"\n")
        if len(rest) > 16384:
            whole, newline, rest = (whole + newline + rest), b"\n", b""
        self._rest = rest
        if newline:
            self._write(whole)

    def close(self) -> None:
        if self._rest:
            self._write(self._rest)
            self._rest = b""

    def _write(self, data: bytes) -> None:
        lines = data.decode("utf-8", "replace").split("\n")
        self._journal.write([self._prefix + line.replace("\r", "") for line in lines])
