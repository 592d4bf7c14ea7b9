"""HEALTHCHECK: a command run in a container again and again, and what came of it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from paas.errors import PaasError
from paas.model import Healthcheck
from paas.runtime.runtime import Runtime
from paas.state import containers
from paas.state.containers import ContainerRow, State
from paas.state.database import Database, now

log = logging.getLogger(__name__)

STARTING, HEALTHY, UNHEALTHY = "starting", "healthy", "unhealthy"
_INTERVAL, _TIMEOUT, _START_INTERVAL, _RETRIES = 30.0, 30.0, 5.0, 3
"""Docker's defaults, in seconds."""
_OUTPUT = 4096
_KEPT = 5
_TOO_LATE = -1


@dataclass(frozen=True, slots=True)
class Result:
    """One check: when, its exit status (-1 when it took too long), the beginning of its output."""

    start: str
    end: str
    status: int
    output: str


class _Checked:
    """One container whose health is watched."""

    def __init__(self, check: Healthcheck, health: str) -> None:
        self.check = check
        self.health = health
        self.failures = 0
        self.results: deque[Result] = deque(maxlen=_KEPT)
        self.over = threading.Event()


class Health:
    """Thread-safe; a thread for each container that has a check."""

    def __init__(self, db: Database, runtime: Runtime) -> None:
        self._db = db
        self._runtime = runtime
        self._lock = threading.Lock()
        self._checked: dict[str, _Checked] = {}

    @staticmethod
    def first(check: Healthcheck | None) -> str:
        """The health a container begins with; '' without a check."""
        return STARTING if command_of(check) else ""

    def start(self, id: str, check: Healthcheck | None) -> None:
        self._begin(id, check, STARTING)

    def resume(self, row: ContainerRow, check: Healthcheck | None) -> None:
        """Go on with one that runs already."""
        self._begin(row.id, check, row.health or STARTING)

    def stop(self, id: str) -> None:
        """Check no more; harmless when nobody does."""
        with self._lock:
            checked = self._checked.pop(id, None)
        if checked is not None:
            checked.over.set()

    def close(self) -> None:
        for id in list(self._checked):
            self.stop(id)

    def results(self, id: str) -> tuple[int, list[Result]]:
        """(failures in a row, the last results, oldest first), since this engine began."""
        with self._lock:
            checked = self._checked.get(id)
            return (checked.failures, list(checked.results)) if checked else (0, [])

    def _begin(self, id: str, check: Healthcheck | None, health: str) -> None:
        command = command_of(check)
        if check is None or not command:
            return
        self.stop(id)
        checked = _Checked(check, health)
        with self._lock:
            self._checked[id] = checked
        threading.Thread(target=self._watch, args=(id, checked, command), name="health", daemon=True).start()

    def _watch(self, id: str, checked: _Checked, command: Sequence[str]) -> None:
        check, began = checked.check, time.monotonic()

        def is_young() -> bool:
            return checked.health == STARTING and time.monotonic() - began < check.start_period

        while True:
            pause = (check.start_interval or _START_INTERVAL) if is_young() else (check.interval or _INTERVAL)
            if checked.over.wait(pause):
                return
            row = containers.get(self._db, id)
            if row is None or row.state is State.PAUSED:
                continue
            try:
                result = self._probe(id, command, check.timeout or _TIMEOUT)
            except (PaasError, OSError) as error:
                if checked.over.is_set():
                    return
                result = Result(now(), now(), 1, str(error))
            with self._lock:
                checked.results.append(result)
                checked.failures = 0 if result.status == 0 else checked.failures + (0 if is_young() else 1)
            health = HEALTHY if result.status == 0 else checked.health
            if checked.failures >= (check.retries or _RETRIES):
                health = UNHEALTHY
            if health != checked.health and not checked.over.is_set():
                checked.health = health
                containers.set_health(self._db, id, health)
                log.info("container %s is %s", id[:12], health)

    def _probe(self, id: str, command: Sequence[str], timeout: float) -> Result:
        began = now()
        output, nothing = os.memfd_create("health", os.MFD_CLOEXEC), os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self._runtime.exec(id, command, terminal=False, stdio=(nothing, output, output), env={}) as session:
                status = session.wait(timeout)
            said = os.pread(output, _OUTPUT, 0).decode("utf-8", "replace")
            if status is None:
                said = f"Health check exceeded timeout ({timeout:g}s)\n{said}"
            return Result(began, now(), _TOO_LATE if status is None else status, said)
        finally:
            os.close(output)
            os.close(nothing)


def command_of(check: Healthcheck | None) -> tuple[str, ...]:
    """The words to run; none without a check."""
    kind, *words = check.test if check is not None and check.test else ("NONE",)
    if kind == "CMD-SHELL":
        return ("/bin/sh", "-c", *words)
    return tuple(words) if kind == "CMD" else ()
