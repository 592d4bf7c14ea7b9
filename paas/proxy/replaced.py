"""nginx processes that have been replaced: each goes on with what is open on it, and ends when nothing is.

Their number is bounded, so swaps are spread out as it grows: the first of a burst come at once, later ones wait, and
whoever wants a change meanwhile shares the swap that comes next. At the limit a swap waits for one of them to end. The
oldest is ended for it only when requests without an end, as WebSockets are, can be all that is left on it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from paas.errors import SystemFailure
from paas.proxy.nginx import Generation
from paas.system.files import remove_tree
from paas.system.sockets import open_ports

log = logging.getLogger(__name__)

_LONGEST = 3600.0
"""Seconds a replaced nginx may live on for its connections (WebSockets)."""
_QUIET = 0.5
"""Seconds without any open connection after which none will come."""
_POLL = 0.25
_PAUSE = 6.0
"""Seconds between swaps as the limit is reached; the share of it grows with the square of how near that is."""


@dataclass(slots=True)
class _Old:
    generation: Generation
    ports: frozenset[int]
    since: float
    patience: float
    quiet_since: float = 0.0
    told: set[str] = field(default_factory=set)
    """`quit`, `kill`"""

    def tell(self, what: Literal["quit", "kill"]) -> None:
        """Once is enough."""
        if what not in self.told:
            self.told.add(what)
            (self.generation.quit if what == "quit" else self.generation.kill)()


def pause(living: int, limit: int, since_last: float) -> float:
    """Seconds that the next swap is to wait, with so many replaced ones living on."""
    wanted = _PAUSE * (max(0, living - 1) / limit) ** 2
    return max(0.0, wanted - since_last)


def _remove(generation: Generation) -> None:
    try:
        remove_tree(generation.directory)
    except (OSError, SystemFailure) as error:  # the next engine tries again
        log.error("%s cannot be removed: %s", generation.directory, error)


class Replaced:
    """Thread-safe."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._old: list[_Old] = []
        self._last = -_LONGEST
        self._watching = False
        self._closing = threading.Event()

    def close(self) -> None:
        """Look after them no longer; the next engine does."""
        self._closing.set()

    def add(self, generation: Generation, ports: set[int], patience: float) -> None:
        """`patience`: seconds after which every connection without a request in work has been closed."""
        with self._lock:
            self._last = self._clock()
            self._old.append(_Old(generation, frozenset(ports), self._last, patience))
            if not self._watching and not self._closing.is_set():
                self._watching = True
                threading.Thread(target=self._watch, name="old nginx", daemon=True).start()

    def has_room(self) -> bool:
        """Whether there may be one more at once."""
        return not self._wait()

    def make_room(self) -> None:
        """Return when there may be one more."""
        while (seconds := self._wait()) and not self._closing.wait(seconds):
            pass

    def _wait(self) -> float:
        """Seconds until it is worth asking again, 0 when there is room. Ends one where that has to be."""
        with self._lock:
            now = self._clock()
            if len(self._old) < self._limit:
                return min(_POLL, pause(len(self._old), self._limit, now - self._last))
            oldest = self._old[0]
            if now - oldest.since >= oldest.patience and "kill" not in oldest.told:
                log.warning("nginx %d is ended with what is open on it: too many old ones", oldest.generation.number)
                oldest.tell("kill")
            return 0.05

    def _watch(self) -> None:
        while not self._closing.wait(_POLL):
            try:
                counts = open_ports()
            except OSError as error:
                log.error("Open connections cannot be counted: %s", error.strerror or error)
                continue
            now = self._clock()
            with self._lock:
                over = [old for old in self._old if self._is_over(old, sum(counts[port] for port in old.ports), now)]
                self._old = [old for old in self._old if old not in over]
                self._watching = bool(self._old)
                going_on = self._watching
            for old in over:
                _remove(old.generation)
            if not going_on:
                return

    def _is_over(self, old: _Old, connections: int, now: float) -> bool:
        """Whether it has ended; it is told to when nothing is open on it any more."""
        if old.generation.pid is None and not old.generation.orphans():
            return True
        if connections:
            old.quiet_since = 0.0
        elif not old.quiet_since:
            old.quiet_since = now
        if (old.quiet_since and now - old.quiet_since >= _QUIET) or now - old.since >= _LONGEST:
            old.tell("quit")
        if now - old.since >= 2 * _LONGEST:
            old.tell("kill")
        return False
