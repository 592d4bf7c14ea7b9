"""The scheduler for this machine."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from paas.errors import SystemFailure
from paas.faults import reached
from paas.model import WEB, Instance, InstanceState, Layer, Release
from paas.output import Output
from paas.runtime.runtime import Runtime
from paas.runtime.spec import Allowance
from paas.schedulers.base import Rollout
from paas.schedulers.boot import Booter
from paas.schedulers.checks import Checks
from paas.schedulers.plan import Plan, Slot, plan, same_run, waves
from paas.schedulers.policy import policy_of
from paas.schedulers.retire import Retirement
from paas.schedulers.services import Services
from paas.state import releases
from paas.state.apps import App, set_stopped
from paas.state.database import Database

log = logging.getLogger(__name__)

_MOST_AT_ONCE = 8
_SERVING = (InstanceState.RUNNING, InstanceState.CRASHED, InstanceState.ENDED)


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
        followed: Callable[[App], None],
    ) -> None:
        """`followed(app)` is called when other instances of an app run than before."""
        self._db = db
        self._runtime = runtime
        self._booter = booter
        self._checks = checks
        self._services = services
        self._retirement = retirement
        self._followed = followed

    def rollout(self, rollout: Rollout, out: Output, cancelled: Callable[[], bool]) -> dict[str, float]:
        app = rollout.app
        times: dict[str, float] = {}
        policy = policy_of(rollout.release)
        with ExitStack() as undo:
            work = self._plan(rollout, undo)
            mark = time.monotonic()
            booted: list[Instance] = []
            times["check"] = 0.0
            for slots in waves(work.boot, rollout.release, policy.ends_first):
                ending = {slot.process for slot in slots if policy.ends_first(slot.process)}
                self._end_first(app, [i for i in work.retire if i.process in ending], out, undo)
                started = self._boot(rollout, slots, out, undo)
                booted += started
                looked = time.monotonic()
                self._checks.wait_healthy(started, rollout.release, out, cancelled)
                times["check"] += time.monotonic() - looked
            times["start"] = time.monotonic() - mark - times["check"]
            reached("deploy:healthy")
            rollout.ready()
            mark = time.monotonic()
            self._commit(rollout, work, booted)
            reached("deploy:committed")
            undo.pop_all()
        for instance in booted:  # first: they are the app's now, also when the network fails
            self._runtime.watch(instance.id)
        if trouble := self._services.publish_or_later(app):
            number = rollout.release.number
            out.warn(f"The network does not lead to release {number} yet, which is tried again every second: {trouble}")
        reached("deploy:published")
        for instance in work.retire:
            self._services.set_leaving(instance.id, False)
        self._let_go(app)
        times["switch"] = time.monotonic() - mark
        return times

    def replace_later(self, layer: Layer) -> None:
        """The next rollout of an app is not to keep the instances that run on this layer."""
        releases.set_stale(self._db, layer.number)

    def stop(self, app: App) -> None:
        with self._db.transaction():
            for row in releases.instances(self._db, app, _SERVING):
                releases.set_instance_state(self._db, row.instance.id, InstanceState.DRAINING)
            set_stopped(self._db, app.id, True)
        reached("stop:recorded")
        self._services.publish_or_later(app)
        self._let_go(app)

    def destroy(self, app: App) -> None:
        with self._db.transaction():
            for row in releases.instances(self._db, app):
                releases.set_instance_state(self._db, row.instance.id, InstanceState.DRAINING)
            set_stopped(self._db, app.id, True)  # what it is, should the rest never come: to be started or destroyed
        reached("destroy:recorded")
        self._services.withdraw(app)
        reached("destroy:withdrawn")
        self._followed(app)
        for row in releases.instances(self._db, app):
            self._runtime.stop(row.instance.id, grace=0)
            self._booter.discard(row.instance)

    def renamed(self, app: App) -> None:
        self._services.linked.publish()

    def _plan(self, rollout: Rollout, undo: ExitStack) -> Plan:
        made_for = releases.of_instances(self._db, rollout.app)
        serving = releases.instances(self._db, rollout.app, _SERVING)
        stale = {row.instance.id for row in serving if row.stale}

        def fits(instance: Instance) -> bool:
            made = made_for.get(instance.release)
            return (
                made is not None
                and instance.id not in stale
                and not rollout.replace(instance.process)
                and same_run(made, rollout.release, instance.process)
                and self._allowed(instance, made, rollout.release, undo)
            )

        have = [row.instance for row in serving]
        return plan(have, rollout.release.processes, fits, rollout.replace)

    def _allowed(self, instance: Instance, old: Release, new: Release, undo: ExitStack) -> bool:
        """Whether an instance has what the new release allows it: changed while it runs, put back when the rollout
        fails. One that uses more than that already is to be replaced."""
        before = self._booter.allowance(old, instance.process)
        after = self._booter.allowance(new, instance.process)
        if before == after:
            return True
        undo.callback(self._allow, instance, before)
        return self._allow(instance, after)

    def _allow(self, instance: Instance, allowance: Allowance) -> bool:
        try:
            self._runtime.allow(instance.id, allowance)
        except SystemFailure as error:
            log.info("%s of %s: %s", instance.name, instance.app, error.message)
            return False
        return True

    def _end_first(self, app: App, ending: Sequence[Instance], out: Output, undo: ExitStack) -> None:
        """Checks are disabled: what is to be replaced ends before its successor begins. What it has in work is finished
        and who comes meanwhile waits, both within the time that requests are held. Should the successor fail, the
        supervisor starts the old ones again."""
        running = [instance for instance in ending if self._runtime.pid(instance.id) is not None]
        if not running:
            return
        # The last to be undone: those that have not ended serve again.
        undo.callback(self._services.publish_or_later, app)
        for instance in running:
            self._services.set_leaving(instance.id, True)
            undo.callback(self._services.set_leaving, instance.id, False)
        self._services.publish(app)
        deadline = time.monotonic() + self._services.hold / 2
        for instance in running:
            out.detail(f"Ending {instance.name} first (checks are disabled)")
            if instance.process == WEB:
                self._retirement.drained(instance, deadline - time.monotonic())
            self._runtime.stop(instance.id, grace=self._booter.stop_timeout(instance))

    def _boot(self, rollout: Rollout, slots: Sequence[Slot], out: Output, undo: ExitStack) -> list[Instance]:
        text = rollout.release.property("scheduler-docker-local:parallel-schedule-count")
        parallel = max(1, len(slots)) if text == "-1" else int(text or "1")

        def boot(slot: Slot) -> Instance:
            out.heading(f"Starting {slot}")
            instance = self._booter.boot(rollout.app, rollout.release, rollout.image, slot)
            undo.callback(self._booter.discard, instance)
            return instance

        if parallel == 1:
            return [boot(slot) for slot in slots]
        with ThreadPoolExecutor(min(parallel, _MOST_AT_ONCE), thread_name_prefix="boot") as workers:
            return list(workers.map(boot, slots))

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

    def _let_go(self, app: App) -> None:
        """Look after what runs now, and let come to its end what is to."""
        try:
            self._followed(app)
        finally:
            draining = releases.instances(self._db, app, (InstanceState.DRAINING,))
            self._retirement.retire([row.instance for row in draining])
