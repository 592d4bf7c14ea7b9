"""Stages side by side: each begins once the stage it is based on is done, and waits for others when it needs them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from paas.errors import Cancelled

_T = TypeVar("_T")
_POLL = 0.2


class Graph(Generic[_T]):
    """One run. `bases` tells for each stage, in the file's order, on which it is based (None: on an image)."""

    def __init__(self, bases: Mapping[int, int | None], cancelled: Callable[[], bool]) -> None:
        self._bases = bases
        self._cancelled = cancelled
        self._failed = threading.Event()
        self._at_once = threading.Semaphore(os.cpu_count() or 1)
        """Held while a stage works, not while it waits for another."""
        self._done = {stage: threading.Event() for stage in bases}
        self.results: dict[int, _T] = {}

    def stopped(self) -> bool:
        """Whether the stages should end: another one has failed, or the caller has gone."""
        return self._failed.is_set() or self._cancelled()

    def run(self, build: Callable[[int], _T]) -> None:
        """Call `build(stage)` for every stage, each on a thread of its own, as many at once as there are processors.

        The first error ends the others and is raised; of several, the first in the file's order.
        """
        if len(self._bases) == 1:
            only = next(iter(self._bases))
            self.results[only] = build(only)
            return
        errors: dict[int, BaseException] = {}
        running: dict[Future[_T], int] = {}
        left = list(self._bases)
        with ThreadPoolExecutor(max_workers=len(left), thread_name_prefix="stage") as pool:
            while left or running:
                if not errors:
                    for stage in self._ready(left):
                        left.remove(stage)
                        running[pool.submit(self._work, build, stage)] = stage
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    stage = running.pop(future)
                    error = future.exception()
                    if error is not None:
                        errors[stage] = error
                        self._failed.set()
        if errors:
            own = {stage: error for stage, error in errors.items() if not isinstance(error, Cancelled)} or errors
            raise own[min(own)]

    def result(self, stage: int) -> _T:
        """What a stage came to; a stage that works waits here until it is done. Raises Cancelled."""
        if not self._done[stage].is_set() and stage not in self.results:
            self._at_once.release()
            try:
                while not self._done[stage].wait(_POLL):
                    if self.stopped():
                        raise Cancelled("The build was cancelled")
            finally:
                self._at_once.acquire()
        return self.results[stage]

    def _ready(self, left: Sequence[int]) -> list[int]:
        return [stage for stage in left if self._bases[stage] is None or self._bases[stage] in self.results]

    def _work(self, build: Callable[[int], _T], stage: int) -> _T:
        with self._at_once:
            if self.stopped():
                raise Cancelled("The build was cancelled")
            self.results[stage] = build(stage)
        self._done[stage].set()
        return self.results[stage]
