"""Tells systemd that the engine is alive, as often as it asks for it; one that has stopped moving is started again."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping

from paas.system.notify import notify, watchdog_seconds

log = logging.getLogger(__name__)


class Watchdog:
    """A context manager. `is_alive` may take its time or hang: then nothing is told, which is the point."""

    def __init__(self, is_alive: Callable[[], bool], environ: Mapping[str, str] = os.environ) -> None:
        self._is_alive = is_alive
        self._environ = environ
        self._limit = watchdog_seconds(environ)
        self._end = threading.Event()

    def __enter__(self) -> Watchdog:
        if self._limit is not None:
            threading.Thread(target=self._tell, args=(self._limit / 3,), name="watchdog", daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        self._end.set()

    def _tell(self, pause: float) -> None:
        while True:
            if self._is_alive():
                notify("WATCHDOG=1", self._environ)
            else:
                log.error("the engine does not take requests any more")
            if self._end.wait(pause):
                return
