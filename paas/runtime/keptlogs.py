"""Logs of instances that are gone: they stay, within limits, for whoever asks what happened before a deploy."""

from __future__ import annotations

import threading
from pathlib import Path

from paas.paths import Paths
from paas.state import past
from paas.state.database import Database, now
from paas.state.past import PastInstance
from paas.system.files import ensure_directory

BYTES, INSTANCES = 64 << 20, 200
"""Kept of each app; the oldest go first."""


class KeptLogs:
    def __init__(self, db: Database, paths: Paths) -> None:
        self._db = db
        self._directory = paths.log / "instances"
        self._lock = threading.Lock()

    def recover(self) -> None:
        ensure_directory(self._directory, mode=0o700)
        self.sweep()

    def keep(
        self, log: Path, *, id: str, app: int, release: int, name: str, started: str, failed: bool = False
    ) -> None:
        """Take over the log of a container that has ended; nothing when it has written none."""
        with self._lock:
            try:
                size = log.stat().st_size
                if not size:
                    return
                log.rename(self._directory / id)
            except FileNotFoundError:
                return
            if not past.insert(self._db, PastInstance(id, app, release, name, started, now(), failed, size)):
                (self._directory / id).unlink()
                return
            self._prune(app)

    def of(self, app: int) -> list[PastInstance]:
        """The latest first."""
        return past.listing(self._db, app)

    def path(self, instance: PastInstance) -> Path:
        """It may be gone by the time it is read."""
        return self._directory / instance.id

    def sweep(self) -> None:
        """Remove the logs of apps that are gone, and what a crash left without its row."""
        with self._lock:
            known = {instance.id for instance in past.listing(self._db)}
            for file in self._directory.iterdir():
                if file.name not in known:
                    file.unlink()

    def _prune(self, app: int) -> None:
        total = 0
        for number, instance in enumerate(past.listing(self._db, app), start=1):
            total += instance.size
            if number > INSTANCES or (total > BYTES and number > 1):
                self.path(instance).unlink(missing_ok=True)
                past.delete(self._db, instance.id)
