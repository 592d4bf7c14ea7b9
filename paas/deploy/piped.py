"""What a container prints, passed on as it comes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from paas.output import Hangup


class Piped:
    """A context manager: a pipe for a container's output. `stdio` are the three descriptors it begins with.

    A reader that is gone, or fails, stops nothing: the rest is read and dropped, for a process must not block on it.
    Left while a process that was left behind still holds the pipe, it does not wait for that one's words.
    """

    _PATIENCE = 2.0

    def __init__(self, output: Callable[[bytes], None]) -> None:
        self._output = output

    def __enter__(self) -> Piped:
        self._null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._read, self._write = os.pipe2(os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._pass_on, args=(self._read,), name="task output", daemon=True)
        self._thread.start()
        return self

    @property
    def stdio(self) -> tuple[int, int, int]:
        return self._null, self._write, self._write

    def __exit__(self, *details: object) -> None:
        os.close(self._write)
        os.close(self._null)
        self._thread.join(self._PATIENCE)

    def _pass_on(self, descriptor: int) -> None:
        gone = False
        try:
            while data := os.read(descriptor, 65536):
                if gone:
                    continue
                try:
                    self._output(data)
                except (Hangup, OSError):
                    gone = True
        finally:
            os.close(descriptor)
