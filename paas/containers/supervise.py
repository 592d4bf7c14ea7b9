"""What becomes of containers that end by themselves, and of those that a former engine has left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address

from paas.containers import model
from paas.containers.life import Life
from paas.containers.parts import Parts
from paas.errors import NotFound, PaasError
from paas.schedulers.supervise import back_off
from paas.state import containers
from paas.state.containers import ContainerRow, State

log = logging.getLogger(__name__)

_STEADY = 10.0
"""Seconds of uptime after which the next restart waits as short as the first, as with Docker."""


class Containers:
    """Containers that belong to no app. `life` changes them; this keeps them as they ought to be."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._db = parts.db
        self._runtime = parts.runtime
        self._closing = threading.Event()
        self._begun = threading.Event()
        self._workers = ThreadPoolExecutor(max_workers=parts.settings.boot_concurrency, thread_name_prefix="container")
        self._quick: dict[str, int] = {}
        """By container, how many of its last ends came soon after its start."""
        self.life = Life(parts, self._ended)

    def close(self) -> None:
        """Begin nothing more; what runs goes on running."""
        self._closing.set()
        self.life.health.close()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def owns(self, id: str) -> bool:
        return containers.get(self._db, id) is not None

    def ended(self, id: str) -> None:
        """A container's process is gone."""
        if not self._closing.is_set():
            self.life.finished(id)

    # -- when an engine begins ------------------------------------------------------------------------------------

    def present(self) -> Mapping[str, IPv4Address | None]:
        """All containers by id, with the addresses of those that run: nobody else may take them for leftovers."""
        return {
            row.id: row.address if self._runtime.pid(row.id) is not None else None
            for row in containers.listing(self._db)
        }

    def adopt(self) -> None:
        """Make rows and reality agree; nothing is started before `boot`.

        What was made only half is removed; what runs is watched; what ended meanwhile is treated as if it did just now.
        """
        self.parts.volumes.recover()
        for row in containers.listing(self._db):
            try:
                self._adopt(row)
            except PaasError as error:
                log.error("container %s cannot be taken over: %s", row.name, error.message)
        self.parts.network.set_forwards(self.parts.ports.forwards(), "containers")

    def boot(self) -> None:
        """Start what is to be started, a few side by side; from now on what ends is restarted."""
        self._begun.set()
        for row in containers.listing(self._db):
            if row.state is State.RESTARTING:
                self._submit(row.id)

    def _adopt(self, row: ContainerRow) -> None:
        alive = self._runtime.pid(row.id) is not None
        restart = model.loads(row.options).restart
        if alive:
            self.life.adopt_sandbox(row)
        match row.state:
            case State.REMOVING:
                self.life.delete(row.id)
            case State.STARTING if not row.started:
                self.life.delete(row.id, volumes=True)
            case State.STARTING:
                self.life.clear(row.id)
                self._set_waiting(row, restart.wanted(row.exit_code, row.restarts, stopped=row.stopped))
            case State.RUNNING | State.PAUSED if alive:
                self.life.adopt_running(row)
            case State.RUNNING | State.PAUSED:
                self.life.finish(row.id)
            case State.EXITED if restart.policy == "always":  # although somebody had stopped it
                self._set_waiting(row, True)

    def _set_waiting(self, row: ContainerRow, again: bool) -> None:
        state = State.RESTARTING if again else State.EXITED
        containers.set_ended(
            self._db, row.id, state, row.exit_code, oom=row.oom, restarts=row.restarts, error=row.error
        )

    # -- restarts -------------------------------------------------------------------------------------------------

    def _ended(self, row: ContainerRow, uptime: float) -> None:
        """One has ended, by whatever, after so many seconds; its lock is held."""
        options = model.loads(row.options)
        quick = 1 if uptime >= _STEADY else self._quick.get(row.id, 0) + 1
        if options.restart.wanted(row.exit_code, row.restarts, stopped=row.stopped):
            self._quick[row.id] = quick
            containers.set_state(self._db, row.id, State.RESTARTING)
            self._later(row.id, back_off(quick))
            return
        self._quick.pop(row.id, None)
        if options.remove:
            self.life.delete(row.id, volumes=True)

    def _later(self, id: str, seconds: float) -> None:
        if not self._begun.is_set():
            return  # `boot` will see to it
        timer = threading.Timer(seconds, self._submit, args=(id,))
        timer.daemon = True
        timer.start()

    def _submit(self, id: str) -> None:
        if not self._closing.is_set():
            self._workers.submit(self._again, id)

    def _again(self, id: str) -> None:
        try:
            with self.life.hold(id, "its restart"):
                row = self.life.get(id)
                if row.state is State.RESTARTING and not self._closing.is_set():
                    self.life.boot(row, restarts=row.restarts + 1)
        except NotFound:
            self._quick.pop(id, None)  # removed meanwhile
        except PaasError as error:
            self._quick[id] = self._quick.get(id, 0) + 1
            log.warning("container %s could not be restarted: %s", id[:12], error.message)
            self._later(id, back_off(self._quick[id]))
