"""What the engine sees to by itself: every day a copy of the database and tidied repositories, and seals of new
layers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from paas.errors import PaasError
from paas.image.store import ImageStore
from paas.state.backups import Backups
from paas.state.database import Database

log = logging.getLogger(__name__)

_LOOK = 10.0
_DAY = 24 * 3600.0
_AGAIN = 3600.0
"""Seconds until a backup that failed is tried again, and from the start until repositories are tidied."""


class Upkeep:
    """A thread. Times are of the monotonic clock: nothing is done a thousand times because a clock was set."""

    def __init__(self, db: Database, backups: Backups, images: ImageStore, tidy: Callable[[], None]) -> None:
        """`tidy()` is called every day."""
        self._db = db
        self._backups = backups
        self._images = images
        self._tidy = tidy
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        age = self._backups.age()
        until_backup = _LOOK if age is None else max(_LOOK, _DAY - age)
        until_tidy = _AGAIN
        while not self._closing.wait(_LOOK):
            until_backup -= _LOOK
            until_tidy -= _LOOK
            try:
                if until_backup <= 0:
                    until_backup = _AGAIN
                    self._backups.make(self._db.path, "daily")
                    until_backup = _DAY
                if until_tidy <= 0:
                    until_tidy = _DAY
                    self._tidy()
                while not self._closing.is_set() and self._images.seal_one(self._closing.is_set):
                    pass
            except (PaasError, OSError) as error:
                if not self._closing.is_set():
                    log.error("upkeep: %s", error)
