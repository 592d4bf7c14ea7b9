"""The scheduler for this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from paas.model import Instance, InstanceState
from paas.output import Output
from paas.runtime.runtime import Runtime
from paas.schedulers.base import Rollout
from paas.schedulers.boot import Booter
from paas.schedulers.checks import Checks
from paas.schedulers.plan import Plan, plan, same_run
from paas.schedulers.retire import Retirement
from paas.schedulers.services import Services
from paas.state import releases
from paas.state.apps import App, set_stopped
from paas.state.database import Database

_SERVING = (InstanceState.RUNNING, InstanceState.CRASHED)


class LocalScheduler:
    """Runs instances in containers of this machine. Callers hold the app's lock."""

    def __init__(
        self,
        db: Database,
        runtime: Runtime,
        booter: Booter,
        checks: Checks,
        services: Services,
        retirement: Retirement,
    ) -> None:
        self._db = db
        self._runtime = runtime
        self._booter = booter
        self._checks = checks
        self._services = services
        self._retirement = retirement

    def rollout(self, rollout: Rollout, out: Output, cancelled: Callable[[], bool]) -> dict[str, float]:
        app = rollout.app
        times: dict[str, float] = {}
        work = self._plan(rollout)
        with ExitStack() as undo:
            mark = time.monotonic()
            booted = self._boot(rollout, work, out, undo)
            times["start"] = time.monotonic() - mark
            mark = time.monotonic()
            self._checks.wait_healthy(booted, out, cancelled)
            times["check"] = time.monotonic() - mark
            mark = time.monotonic()
            self._commit(rollout, work, booted)
            undo.pop_all()
        self._services.publish(app)
        times["switch"] = time.monotonic() - mark
        for instance in booted:
            self._runtime.watch(instance.id)
        self._retirement.retire(self._draining(app))
        return times

    def stop(self, app: App) -> None:
        with self._db.transaction():
            for row in releases.instances(self._db, app, _SERVING):
                releases.set_instance_state(self._db, row.instance.id, InstanceState.DRAINING)
            set_stopped(self._db, app.id, True)
        self._services.publish(app)
        self._retirement.retire(self._draining(app))

    def destroy(self, app: App) -> None:
        with self._db.transaction():
            for row in releases.instances(self._db, app):
                releases.set_instance_state(self._db, row.instance.id, InstanceState.DRAINING)
        self._services.withdraw(app)
        for row in releases.instances(self._db, app):
            self._runtime.stop(row.instance.id, grace=0)
            self._booter.discard(row.instance)

    def _plan(self, rollout: Rollout) -> Plan:
        made_for = releases.of_instances(self._db, rollout.app)

        def fits(instance: Instance) -> bool:
            made = made_for.get(instance.release)
            return made is not None and same_run(made, rollout.release, instance.process)

        have = [row.instance for row in releases.instances(self._db, rollout.app, _SERVING)]
        return plan(have, rollout.release.processes, fits, rollout.replace)

    def _boot(self, rollout: Rollout, work: Plan, out: Output, undo: ExitStack) -> list[Instance]:
        booted = []
        for slot in work.boot:
            out.heading(f"Starting {slot}")
            instance = self._booter.boot(rollout.app, rollout.release, rollout.image, slot)
            undo.callback(self._booter.discard, instance)
            booted.append(instance)
        return booted

    def _commit(self, rollout: Rollout, work: Plan, booted: list[Instance]) -> None:
        """The moment at which the release becomes the one that serves: one transaction."""
        with self._db.transaction():
            rollout.commit()
            releases.set_current(self._db, rollout.app, rollout.release.number)
            releases.carry_over(self._db, [instance.id for instance in work.keep], rollout.release.number)
            for instance in booted:
                releases.set_instance_state(self._db, instance.id, InstanceState.RUNNING)
            for instance in work.retire:
                releases.set_instance_state(self._db, instance.id, InstanceState.DRAINING)

    def _draining(self, app: App) -> list[Instance]:
        return [row.instance for row in releases.instances(self._db, app, (InstanceState.DRAINING,))]
