"""Liveness and readiness: instances that serve are asked again and again, by one thread with a few workers.

What fails its readiness checks gets no new connections until it is ready again; what fails its liveness checks is
replaced. This is known to the running engine alone: after a restart of it every instance counts as ready at first.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from paas.declared import Check
from paas.errors import PaasError
from paas.model import Instance, InstanceState
from paas.schedulers.asking import Asker
from paas.schedulers.checks import title_of
from paas.schedulers.policy import policy_of
from paas.schedulers.services import Services
from paas.state import apps, releases
from paas.state.apps import App
from paas.state.database import Database

log = logging.getLogger(__name__)

_WORKERS = 8
_ON_FAILURE_TIMEOUT = 30.0


@dataclass(slots=True)
class _Watched:
    """One check of one instance. It belongs to the worker that asks, else to the thread that plans."""

    app: int
    instance: Instance
    check: Check
    host: str
    began: float
    failures: int = 0
    bad: bool = False
    over: bool = False


class Healthchecks:
    """Thread-safe. `fail(id, reason)` is called, on a thread of its own, for an instance that is to be replaced."""

    def __init__(
        self,
        db: Database,
        asker: Asker,
        services: Services,
        host: Callable[[App], str],
        fail: Callable[[str, str], None],
    ) -> None:
        self._db = db
        self._asker = asker
        self._services = services
        self._host = host
        self._fail = fail
        self._condition = threading.Condition()
        self._following = threading.Lock()
        self._watched: dict[str, list[_Watched]] = {}
        self._bad: dict[str, dict[str, str]] = {}
        """Instance -> readiness check -> why it is not good."""
        self._queue: list[tuple[float, int, _Watched]] = []
        self._numbers = itertools.count()
        self._closing = False
        self._workers: ThreadPoolExecutor | None = None

    def start(self) -> None:
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="healthcheck")
        threading.Thread(target=self._run, name="healthchecks", daemon=True).start()
        for app in apps.listing(self._db):
            self.follow(app)

    def close(self) -> None:
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._workers is not None:
            self._workers.shutdown(wait=False, cancel_futures=True)

    def follow(self, app: App) -> None:
        """Check what runs of the app now, by the checks of its release. Called whenever that may have changed."""
        with self._following:
            release = releases.current(self._db, app)
            rows = releases.instances(self._db, app, (InstanceState.RUNNING,)) if release else []
            wanted: dict[str, list[_Watched]] = {}
            for row in rows:
                instance = row.instance
                assert release is not None
                policy = policy_of(release)
                checks = [c for c in release.declared.checks.get(instance.process, ()) if c.kind != "startup"]
                if checks and policy.waits_for(instance.process):
                    known = self._watched.get(instance.id)
                    began = known[0].began if known else time.monotonic()
                    host = self._host(app)
                    wanted[instance.id] = [_Watched(app.id, instance, policy.complete(c), host, began) for c in checks]
            self._replace(app, wanted)

    def unready(self, id: str) -> str:
        """Why an instance gets no connections; '' when it does."""
        with self._condition:
            return "; ".join(self._bad.get(id, {}).values())

    def _replace(self, app: App, wanted: dict[str, list[_Watched]]) -> None:
        with self._condition:
            for id, present in list(self._watched.items()):
                if present[0].app != app.id:
                    continue
                fresh = wanted.get(id)
                if fresh and [(w.check, w.host) for w in fresh] == [(w.check, w.host) for w in present]:
                    del wanted[id]  # nothing has changed: what is known of it stays
                    continue
                for watched in present:
                    watched.over = True
                del self._watched[id]
                self._bad.pop(id, None)
                self._services.set_ready(id, True)
            self._watched.update(wanted)
            for id in wanted:
                for watched in wanted[id]:
                    self._plan(watched, watched.check.initial_delay or watched.check.wait or 0.0)
            self._condition.notify_all()

    # -- the thread that plans ------------------------------------------------------------------------------------

    def _plan(self, watched: _Watched, seconds: float) -> None:
        heapq.heappush(self._queue, (time.monotonic() + seconds, next(self._numbers), watched))

    def _run(self) -> None:
        assert self._workers is not None
        while True:
            with self._condition:
                while not self._closing and (not self._queue or self._queue[0][0] > time.monotonic()):
                    self._condition.wait(self._queue[0][0] - time.monotonic() if self._queue else None)
                if self._closing:
                    return
                _, _, watched = heapq.heappop(self._queue)
                if watched.over:
                    continue
                self._workers.submit(self._ask, watched)

    # -- the workers ----------------------------------------------------------------------------------------------

    def _ask(self, watched: _Watched) -> None:
        instance, check = watched.instance, watched.check
        try:
            reason = self._asker.ask(check, instance, watched.host, time.monotonic() - watched.began)
            if not watched.over:
                self._judge(watched, reason)
        except PaasError as error:
            log.error("healthcheck of %s of %s: %s", instance.name, instance.app, error.message)
        except Exception:
            log.exception("healthcheck of %s of %s", instance.name, instance.app)
        finally:
            with self._condition:
                if not watched.over and not self._closing:
                    self._plan(watched, check.wait or 1.0)
                    self._condition.notify_all()

    def _judge(self, watched: _Watched, reason: str) -> None:
        instance, check = watched.instance, watched.check
        watched.failures = watched.failures + 1 if reason else 0
        bad = watched.failures >= (check.attempts or 1)
        if bad == watched.bad:
            return
        watched.bad = bad
        text = f"failed its {check.kind} check {title_of(check)}: {reason}"
        if bad:
            log.warning("%s of %s %s", instance.name, instance.app, text)
            if check.on_failure:
                self._asker.command(instance.id, check.on_failure, _ON_FAILURE_TIMEOUT)
        if check.warn:
            return
        if check.kind == "readiness":
            self._set_ready(watched, "" if not bad else text)
        elif bad:
            watched.over = True
            threading.Thread(
                target=self._replace_instance, args=(instance, text), name="unhealthy", daemon=True
            ).start()

    def _set_ready(self, watched: _Watched, reason: str) -> None:
        id = watched.instance.id
        with self._condition:
            if watched.over:
                return
            reasons = self._bad.setdefault(id, {})
            reasons.pop(title_of(watched.check), None)
            if reason:
                reasons[title_of(watched.check)] = reason
            ready = not reasons
        self._publish(id, ready)

    def _publish(self, id: str, ready: bool) -> None:
        self._services.set_ready(id, ready)
        row = releases.instance(self._db, id)
        if row is not None:
            self._services.publish(apps.by_id(self._db, row.app_id))

    def _replace_instance(self, instance: Instance, reason: str) -> None:
        try:
            self._publish(instance.id, False)  # nothing new while it ends
            self._fail(instance.id, reason)
        except PaasError as error:
            log.error("%s of %s could not be ended: %s", instance.name, instance.app, error.message)
