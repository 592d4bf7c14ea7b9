"""What directories take of the disk, counted by a process of its own: it may take long, and can be ended."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from types import TracebackType

from paas.system import occupied
from paas.system import run as system
from paas.system.occupied import Bounds, Occupied
from paas.system.processes import gone_within


@dataclass(frozen=True, slots=True)
class Question:
    """As occupied.occupied takes it."""

    top: str
    bounds: Bounds
    pids: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    found: Occupied
    cost: float
    """Seconds it took."""


class Measuring:
    """A context manager: inside the process counts; leaving ends it."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = questions

    def __enter__(self) -> Measuring:
        self._output = os.memfd_create("answers", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.memfd_create("questions", os.MFD_CLOEXEC), "w+") as asked:
                json.dump([(q.top, astuple(q.bounds), q.pids, q.devices) for q in self._questions], asked)
                asked.seek(0)
                argv = [sys.executable, "-I", "-S", occupied.__file__]
                self._process = system.start(argv, stdin=asked.fileno(), stdout=self._output)
        except BaseException:
            os.close(self._output)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._output)

    def ended_within(self, seconds: float) -> bool:
        return gone_within(self._process.pid, seconds)

    def answers(self) -> list[Answer]:
        """To the first questions, as far as it has come."""
        size = os.fstat(self._output).st_size
        lines = os.pread(self._output, size, 0).split(b"\n")[:-1]
        return [Answer(Occupied(*words[:4]), words[4]) for words in map(json.loads, lines)]
