"""Locks by name: whoever asks second waits, and is told so."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from paas.errors import Cancelled


class NamedLocks:
    """First come, first served locks by name, re-entrant for the thread that holds one."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._queues: dict[str, list[tuple[int, str]]] = {}
        """For each name the threads that hold (first) or want it, with what they want it for."""
        self._depth: dict[str, int] = {}

    @contextlib.contextmanager
    def hold(
        self,
        name: str,
        purpose: str,
        *,
        waiting: Callable[[str], None] = lambda holder: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[None]:
        """Hold the lock. `waiting` is called once with the holder's purpose when there is one; then it queues.

        `cancelled` is asked a few times a second while waiting; Cancelled is raised when it says yes.
        """
        me = threading.get_ident()
        with self._condition:
            queue = self._queues.setdefault(name, [])  # the list lives as long as anyone is in it
            if queue and queue[0][0] == me:
                self._depth[name] += 1
            else:
                entry = (me, purpose)
                queue.append(entry)
                if queue[0] is not entry:
                    holder = queue[0][1]
                    self._condition.release()
                    try:
                        waiting(holder)
                    except BaseException:
                        self._condition.acquire()
                        self._leave(name, entry)
                        raise
                    self._condition.acquire()
                while queue[0] is not entry:
                    if cancelled():
                        holder = queue[0][1]
                        self._leave(name, entry)
                        raise Cancelled(f"Cancelled while waiting for {holder}")
                    self._condition.wait(0.25)
                self._depth[name] = 1
        try:
            yield
        finally:
            with self._condition:
                self._depth[name] -= 1
                if self._depth[name] == 0:
                    del self._depth[name]
                    self._leave(name, queue[0])

    def _leave(self, name: str, entry: tuple[int, str]) -> None:
        queue = self._queues[name]
        queue.remove(entry)
        if not queue:
            del self._queues[name]
        self._condition.notify_all()

    def holder(self, name: str) -> str | None:
        """What the present holder does, or None."""
        with self._condition:
            queue = self._queues.get(name)
            return queue[0][1] if queue else None
