"""Who waits for the end of which container."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Protocol


class Asked(Protocol):
    """An event, as far as waiting needs it."""

    def is_set(self) -> bool: ...


class Ends:
    """Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Future[int]]] = {}

    def next(self, id: str) -> Future[int]:
        """The exit status of the container's next end, as a shell would give it. Asked for before it can happen."""
        future: Future[int] = Future()
        with self._lock:
            self._waiting.setdefault(id, []).append(future)
        return future

    def tell(self, id: str, status: int) -> None:
        with self._lock:
            waiting = self._waiting.pop(id, [])
        for future in waiting:
            future.set_result(status)

    def forget(self, id: str, future: Future[int]) -> None:
        """Nobody waits any more."""
        with self._lock:
            left = [other for other in self._waiting.pop(id, []) if other is not future]
            if left:
                self._waiting[id] = left


def status_of(future: Future[int], given_up: Asked) -> int | None:
    """The status; None when the caller has given up first."""
    while not given_up.is_set():
        try:
            return future.result(timeout=0.25)
        except NotYet:
            continue
    return None
