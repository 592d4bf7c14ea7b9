"""A process that has everything imported and becomes an engine when it is told to: a fork in place of a second's work.

Run inside a machine, as `python -m tests.harness.nursery`. It is told by lines of its standard input: `serve` starts an
engine, `ended` answers with its exit status if it has ended, `leaks` answers with what is left over (see leaks.py),
`objects` with what the engine's memory holds, a number and a name in each line.
Each answer ends with a line of one dot.
"""

from __future__ import annotations

import collections
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO

import paas.engine.engine  # noqa: F401  what takes its time
from paas.__main__ import main as paas_main
from paas.paths import PROJECT
from paas.settings import load
from paas.system import run as system
from tests.harness import leaks
from tests.machine import Machine


class Nursery:
    """The test's end of it. `environment` is what its engines get besides the machine's."""

    def __init__(self, machine: Machine, environment: dict[str, str]) -> None:
        with (machine.disk / "engine.log").open("ab") as log:
            argv = [sys.executable, "-m", "tests.harness.nursery"]
            env = {"PYTHONPATH": str(PROJECT), **environment}
            self._process = machine.start(argv, stdin=system.PIPE, stdout=system.PIPE, stderr=log, env=env)

    def ask(self, word: str) -> list[str]:
        """Raises AssertionError when it has died."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{word}\n".encode())
        self._process.stdin.flush()
        lines = []
        while (line := self._process.stdout.readline().decode()) != ".\n":
            assert line, "the nursery has ended; the engine's log has its words"
            lines.append(line.rstrip("\n"))
        return lines


class _Counted:
    """Pipes to an engine, on which it is asked what its memory holds."""

    def __init__(self) -> None:
        self._questions, self._asking = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), "rw", strict=True))
        self._answers, self._answering = (os.fdopen(fd, mode) for fd, mode in zip(os.pipe(), "rw", strict=True))

    def serve(self) -> int:
        """The engine's end."""
        threading.Thread(target=_count, args=(self._questions, self._answering), daemon=True).start()
        return paas_main(["serve"])

    def ask(self) -> Iterator[str]:
        print(file=self._asking, flush=True)
        while (line := self._answers.readline()) != ".\n":
            yield line.rstrip("\n")


def _count(questions: IO[str], answering: IO[str]) -> None:
    for _ in questions:
        gc.collect()
        found = gc.get_objects()
        counts = collections.Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in found)
        del found
        for name, count in counts.items():
            print(count, name, file=answering)
        print(".", file=answering, flush=True)


def _answers(word: str, engines: list[int], counted: _Counted) -> Iterator[str]:
    if word == "serve":
        engines.append(_fork(counted.serve))
    elif word == "ended":
        ended, status = os.waitpid(engines[-1], os.WNOHANG)
        if ended:
            yield str(os.waitstatus_to_exitcode(status))
    elif word == "leaks":
        yield from leaks.found(load())
    elif word == "objects":
        yield from counted.ask()


def _fork(work: Callable[[], int]) -> int:
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        status = work()
    finally:
        os._exit(status)


def main() -> None:
    engines: list[int] = []
    counted = _Counted()
    for line in iter(sys.stdin.readline, ""):
        for answer in _answers(line.strip(), engines, counted):
            print(answer)
        print(".", flush=True)


if __name__ == "__main__":
    main()
