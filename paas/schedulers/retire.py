"""The end of replaced instances: connections finish, then SIGTERM, grace, SIGKILL, removal. Nobody waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from paas.errors import PaasError
from paas.faults import reached
from paas.model import WEB, Instance
from paas.runtime.probe import open_connections
from paas.runtime.runtime import Runtime
from paas.schedulers.boot import Booter
from paas.schedulers.policy import policy_of
from paas.schedulers.services import Services
from paas.settings import Settings
from paas.state import apps, releases
from paas.state.database import Database

log = logging.getLogger(__name__)

_QUIET = 0.25
"""Seconds without any open connection after which none will come: the switch is long in force, and nginx keeps an
idle upstream connection for 0.1 s."""


class Retirement:
    """Drains and removes instances, each on a thread of its own."""

    def __init__(self, settings: Settings, db: Database, runtime: Runtime, booter: Booter, services: Services) -> None:
        self._settings = settings
        self._services = services
        self._db = db
        self._runtime = runtime
        self._booter = booter
        self._lock = threading.Lock()
        self._going: dict[str, threading.Thread] = {}
        self._closing = threading.Event()

    def retire(self, instances: Iterable[Instance]) -> None:
        """Begin to retire instances whose rows say DRAINING. Asking twice for one does nothing more."""
        for instance in instances:
            with self._lock:
                if instance.id in self._going or self._closing.is_set():
                    continue
                thread = threading.Thread(
                    target=self._run, args=(instance,), name=f"retire {instance.app} {instance.name}", daemon=True
                )
                self._going[instance.id] = thread
                thread.start()

    def close(self) -> None:
        """Stop waiting; the next engine goes on with it, as the rows still say DRAINING."""
        self._closing.set()

    def end_now(self, instance: Instance) -> None:
        """Stop and remove without draining."""
        self._runtime.stop(instance.id, grace=self._booter.stop_timeout(instance))
        reached("retire:stopped")
        self._booter.discard(instance)

    def _run(self, instance: Instance) -> None:
        try:
            if not self._led_past(instance):
                return
            if instance.process == WEB and not self.drained(instance, self._limit(instance)):
                return
            self.end_now(instance)
        except PaasError as error:
            log.error("%s of %s could not be retired: %s", instance.name, instance.app, error.message)
        finally:
            with self._lock:
                self._going.pop(instance.id, None)

    def _led_past(self, instance: Instance) -> bool:
        """Wait until the network leads nobody new to it: a former engine, or one that the network failed, may not have
        come to that. False when the engine closes, and when somebody else has removed the instance."""
        while row := releases.instance(self._db, instance.id):
            if self._services.in_force(row.app_id):
                return True
            if self._closing.wait(_QUIET):
                break
        return False

    def drained(self, instance: Instance, limit: float) -> bool:
        """Wait until no connection is open any more, or so many seconds have passed; False when the engine closes."""
        deadline = time.monotonic() + limit
        quiet_since: float | None = None
        while time.monotonic() < deadline:
            now = time.monotonic()
            if open_connections(self._runtime.pid(instance.id)):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= _QUIET:
                return True
            if self._closing.wait(0.05 if quiet_since is not None else 0.25):
                return False
        return True

    def _limit(self, instance: Instance) -> float:
        """Seconds it may take, as the app's release that serves now says."""
        app = apps.find(self._db, instance.app)
        release = releases.current(self._db, app) if app else None
        limit = policy_of(release).retire if release else None
        return self._settings.drain_timeout if limit is None else limit
