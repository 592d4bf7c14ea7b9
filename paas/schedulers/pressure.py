"""Limits that instances run into while they go on: a process killed for want of memory, one that could not be made."""

from __future__ import annotations

import logging
import threading

from paas.errors import PaasError
from paas.model import PLATFORM, Instance, InstanceState
from paas.runtime.runtime import Runtime
from paas.state import events, releases
from paas.state.database import Database

log = logging.getLogger(__name__)

_LOOK = 5.0


class Pressure:
    """A thread that looks at the counters of all instances that run; each new count is in the app's log and events."""

    def __init__(self, db: Database, runtime: Runtime) -> None:
        self._db = db
        self._runtime = runtime
        self._closing = threading.Event()
        self._seen: dict[str, tuple[int, int]] = {}

    def start(self) -> None:
        """What a former engine has told is not told again."""
        self._seen = {instance.id: self._runtime.refusals(instance.id) for instance in self._running()}
        threading.Thread(target=self._run, name="pressure", daemon=True).start()

    def close(self) -> None:
        self._closing.set()

    def _running(self) -> list[Instance]:
        rows = releases.instances(self._db)
        return [row.instance for row in rows if row.instance.state is InstanceState.RUNNING]

    def _run(self) -> None:
        while not self._closing.wait(_LOOK):
            try:
                self.look()
            except PaasError as error:
                log.warning("%s", error.message)

    def look(self) -> None:
        running = self._running()
        self._seen = {instance.id: self._seen.get(instance.id, (0, 0)) for instance in running}
        for instance in running:
            kills, forks = self._runtime.refusals(instance.id)
            before = self._seen[instance.id]
            if (kills, forks) == before or self._runtime.pid(instance.id) is None:
                continue  # its end is told by whoever waits for it
            self._seen[instance.id] = (kills, forks)
            if kills > before[0]:
                self._tell(instance, "a process was killed: out of memory (resource:limit --memory)")
            if forks > before[1]:
                self._tell(instance, "it may have no more processes and threads (docker-options: --pids-limit)")

    def _tell(self, instance: Instance, what: str) -> None:
        log.warning("%s of %s: %s", instance.name, instance.app, what)
        self._runtime.note(instance.id, what)
        events.record(self._db, PLATFORM, instance.app, "limit", f"{instance.name}: {what}")
