"""Liveness and readiness: instances that serve are asked again and again, by one thread with a few workers.

What fails its readiness checks gets no new connections until it is ready again; what fails its liveness checks is
replaced. What an instance fails stands in its row: the next engine knows it too.
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
from paas.state.releases import InstanceRow

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

    @property
    def name(self) -> str:
        """What it is known under in the instance's row."""
        return f"{self.check.kind} {title_of(self.check)}"

    @property
    def holds_back(self) -> bool:
        """Whether failing it means no new connections."""
        return self.check.kind == "readiness" and not self.check.warn


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
            rows = releases.instances(self._db, app, (InstanceState.RUNNING,))
            release = releases.current(self._db, app) if rows else None
            rows = rows if release else []
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
            self._recall(app, rows, wanted)
            self._replace(app, wanted)

    def _recall(self, app: App, rows: list[InstanceRow], wanted: dict[str, list[_Watched]]) -> None:
        """Let checks begin with what their instances are known to fail, and forget what is not checked any more."""
        changed = False
        for row in rows:
            if not row.unready or _same(wanted.get(row.instance.id), self._watched.get(row.instance.id)):
                continue
            if ending := next((why for name, why in row.unready.items() if name.startswith("liveness")), ""):
                wanted.pop(row.instance.id, None)  # who found that out has not ended it
                self._end_later(row.instance, ending)
                continue
            failed = [w for w in wanted.get(row.instance.id, ()) if w.holds_back and w.name in row.unready]
            for watched in failed:
                watched.bad, watched.failures = True, watched.check.attempts or 1
            still = {watched.name: row.unready[watched.name] for watched in failed}
            changed |= still != row.unready
            releases.set_unready(self._db, row.instance.id, still)
        if changed:
            self._services.publish_or_later(app)

    def _replace(self, app: App, wanted: dict[str, list[_Watched]]) -> None:
        with self._condition:
            for id, present in list(self._watched.items()):
                if present[0].app != app.id:
                    continue
                fresh = wanted.get(id)
                if _same(fresh, present):
                    del wanted[id]  # nothing has changed: what is known of it stays
                    continue
                for watched in present:
                    watched.over = True
                del self._watched[id]
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
        self._set_ready(watched, text if bad else "")
        if bad and check.kind == "liveness":
            watched.over = True
            self._end_later(instance, text)

    def _set_ready(self, watched: _Watched, reason: str) -> None:
        """Give the instance no new connections while it fails anything, nor while it ends for that."""
        with self._following:
            row = releases.instance(self._db, watched.instance.id)
            if watched.over or row is None:
                return
            others = {name: why for name, why in row.unready.items() if name != watched.name}
            releases.set_unready(self._db, row.instance.id, others | ({watched.name: reason} if reason else {}))
            self._services.publish_or_later(apps.by_id(self._db, row.app_id))

    def _end_later(self, instance: Instance, reason: str) -> None:
        threading.Thread(target=self._end, args=(instance, reason), name="unhealthy", daemon=True).start()

    def _end(self, instance: Instance, reason: str) -> None:
        try:
            self._fail(instance.id, reason)
        except PaasError as error:
            log.error("%s of %s could not be ended: %s", instance.name, instance.app, error.message)


def _same(one: list[_Watched] | None, other: list[_Watched] | None) -> bool:
    """Whether both look at the same in the same way."""
    if one is None or other is None:
        return False
    return [(w.check, w.host) for w in one] == [(w.check, w.host) for w in other]
