"""A program while it runs: what it says, how it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from paas.errors import PaasError
from paas.system import run as system

_PATIENCE = 60.0
_LINE = 4096
_NOISE = (
    "From ",
    "hint: ",
    "warning: ",
    "fatal: Could not read from remote repository.",
    "Please make sure you have",
    "and the repository exists.",
    "To add an exception for this directory",
    "git config --global",
)
"""Lines that say nothing about why git failed."""


class ProgramFailed(PaasError):
    """A program ended badly; the message is what it said last."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def end(process: system.Process, *, at_once: bool = False) -> None:
    """Wait for a program that has no more to say; what still runs then, or `at_once`, is killed with its children."""
    if not at_once:
        try:
            process.wait(_PATIENCE)
        except system.TimeoutExpired:
            pass
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    if process.stderr is not None:
        process.stderr.close()


class Told:
    """The error stream of a program as lines for a terminal: whole ones, and of those that change one in two seconds.
    What a server sends is shown without its control characters."""

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self._say = say
        self._rest = b""
        self._lines: list[str] = []
        self._next = time.monotonic() + 2

    def take(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).replace(b"\r", b"\n").split(b"\n")
        self._rest = self._rest[-_LINE:]
        for line in lines:
            self._line(_clean(line))

    def last(self) -> str:
        """The last words, without git's and curl's own names."""
        lines = [*self._lines, _clean(self._rest)]
        words = [line for line in lines if line and not line.startswith(_NOISE)][-3:]
        prefixes = ("fatal: ", "error: ", "remote: ", "curl: ")
        for prefix in prefixes:
            words = [word.removeprefix(prefix) for word in words]
        return "; ".join(dict.fromkeys(words))

    def size(self, path: Path) -> None:
        if self._say is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + 2
            self._say(f"{path.stat().st_size / (1 << 20):.1f} MiB so far")

    def _line(self, text: str) -> None:
        if not text:
            return
        progress = "%" in text and not text.endswith("done.")
        if not progress:
            self._lines = [*self._lines[-20:], text]
        due = time.monotonic() >= self._next
        if self._say is None or (progress and not due) or text.startswith(("From ", " * ", "   ", "fatal:", "curl:")):
            return
        if progress:
            self._next = time.monotonic() + 2
        self._say(text)


def _clean(line: bytes) -> str:
    return "".join(char for char in line[:_LINE].decode("utf-8", "replace") if char.isprintable()).rstrip()
