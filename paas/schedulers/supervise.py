"""What ends by itself is started again, with back-off; what a former engine left is picked up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.errors import NotFound, PaasError, SystemFailure
from paas.faults import reached
from paas.image.store import ImageStore
from paas.model import PLATFORM, Instance, InstanceState, Restart
from paas.output import Discard
from paas.runtime.runtime import Runtime, Status
from paas.schedulers.boot import Booter
from paas.schedulers.checks import Checks
from paas.schedulers.comeback import Comeback, Wants, needs
from paas.schedulers.holding import ALWAYS, refused
from paas.schedulers.linked import networks_of
from paas.schedulers.plan import Slot
from paas.schedulers.retire import Retirement
from paas.schedulers.services import Services
from paas.state import apps, events, releases
from paas.state.apps import App
from paas.state.database import Database
from paas.state.releases import InstanceRow
from paas.system.locks import NamedLocks

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 60.0
_STEADY = 60.0
"""Seconds of uptime after which an end counts as the first again."""
_AGAIN = 1.0
"""Seconds until an end that could not be written down is written down again."""


def back_off(restarts: int) -> float:
    """Seconds to wait before the restart with this number (from 1): 0.1, 0.2, 0.4 ... 60."""
    return float(min(_FIRST_PAUSE * 2 ** min(restarts - 1, 12), _LONGEST_PAUSE))


def reason_of(status: Status) -> str:
    """Why a container ended, for ps:report."""
    if status.oom:
        return "killed: out of memory"
    if status.exit_code is None:
        return "ended"
    if status.exit_code > 128:
        return f"killed by signal {status.exit_code - 128}"
    return f"exited with status {status.exit_code}"


@dataclass(frozen=True, slots=True)
class _Told:
    """Why an instance is being ended by us."""

    reason: str
    again: bool = True
    """Whether it is started again, whatever its restart policy; else it stays down until somebody starts its app."""
    empty: bool = False
    """Whether what it has written goes at once."""


class Supervisor:
    def __init__(
        self,
        db: Database,
        images: ImageStore,
        runtime: Runtime,
        booter: Booter,
        checks: Checks,
        services: Services,
        retirement: Retirement,
        locks: NamedLocks,
        changed: Callable[[App], None],
        at_once: int,
    ) -> None:
        """`changed(app)` is called when the number of an app's running instances has changed by itself; `at_once`
        instances are started side by side."""
        self._db = db
        self._images = images
        self._runtime = runtime
        self._booter = booter
        self._checks = checks
        self._services = services
        self._retirement = retirement
        self._locks = locks
        self._changed = changed
        self._told: dict[str, _Told] = {}
        """By container."""
        self._full: set[str] = set()
        """Containers whose writable layers go before anything else is made for their apps."""
        self._closing = threading.Event()
        self._workers = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="restart")

    def close(self) -> None:
        self._closing.set()
        self._workers.shutdown(wait=False, cancel_futures=True)

    # -- while the engine runs ------------------------------------------------------------------------------------

    def ended(self, id: str) -> None:
        """A container's process is gone. Only instances that served are restarted: others were ended by us."""
        if self._closing.is_set():  # the next engine finds out; the database may be closed
            return
        known = self._told.pop(id, None)
        try:
            self._note_end(id, known)
        except SystemFailure as error:  # the disk is full, perhaps
            log.error("the end of container %s: %s", id[:12], error.message)
            if known is not None:
                self._told[id] = known
            _later(_AGAIN, self.ended, id)

    def _note_end(self, id: str, told: _Told | None) -> None:
        status = self._runtime.status(id)  # may wait for conmon's note: not in a transaction
        uptime = self._runtime.uptime(id)
        with self._db.transaction():
            row = releases.instance(self._db, id)
            if row is None or row.instance.state is not InstanceState.RUNNING or self._closing.is_set():
                return
            reason = told.reason if told else reason_of(status)
            restarts = 1 if uptime >= _STEADY else row.restarts + 1
            app = apps.by_id(self._db, row.app_id)
            policy = self._policy(app, row.instance)
            again = told.again if told else policy.wanted(status.exit_code, restarts - 1, stopped=False)
            state = InstanceState.CRASHED if again else InstanceState.ENDED
            releases.record_end(self._db, id, state, restarts if again else restarts - 1, reason)
            events.record(self._db, PLATFORM, app.name, "crash", f"{row.instance.name} {reason}")
        reached("restart:end-recorded")
        if status.oom:
            self._runtime.note(id, f"{reason}; resource:limit --memory allows more")
        log.warning("%s of %s %s", row.instance.name, app.name, reason)
        if told is not None and told.empty:
            self._full.add(id)
        if again:  # first: it is not asked for a second time when what follows fails
            self._restart_later(row.instance, back_off(restarts))
        elif id in self._full:
            self._workers.submit(self._empty, row.instance)
        self._services.publish_or_later(app)
        self._changed(app)

    def _policy(self, app: App, instance: Instance) -> Restart:
        release = releases.current(self._db, app)
        return ALWAYS if release is None else self._booter.restart_policy(release, instance.process)

    def fail(self, id: str, reason: str) -> None:
        """End an instance that is not well; it is started again as one that ended by itself."""
        row = releases.instance(self._db, id)
        if row is None or row.instance.state is not InstanceState.RUNNING:
            return
        self._told[id] = _Told(reason)
        self._runtime.stop(id, grace=self._booter.stop_timeout(row.instance))

    def end_writer(self, id: str, reason: str, *, again: bool) -> None:
        """Kill an instance that writes more to the disk than it may. What it had in its writable layer goes.

        `again`: it is started again as one that ended by itself; else it stays down until its app is started or
        deployed.
        """
        row = releases.instance(self._db, id)
        if row is not None and row.instance.state is InstanceState.RUNNING:
            self._told[id] = _Told(reason, again=again, empty=True)
        self._runtime.note(id, reason)
        self._runtime.stop(id, grace=0)

    def _empty(self, instance: Instance) -> None:
        """Unless it is replaced and removed as a whole meanwhile."""
        row = releases.instance(self._db, instance.id)
        if row is None:
            return
        try:
            with self._locks.hold(str(row.app_id), f"the end of {instance.name}", cancelled=self._closing.is_set):
                if releases.instance(self._db, instance.id) is not None:
                    self._emptied(instance.id)
        except PaasError as error:
            log.error("what %s of %s has written is still there: %s", instance.name, instance.app, error.message)

    def _emptied(self, id: str) -> None:
        if id in self._full:
            self._full.discard(id)
            try:
                self._runtime.empty(id)
            except OSError as error:  # it goes with the rest of the container, then
                log.error("what container %s has written is still there: %s", id[:12], error)

    def _restart_later(self, instance: Instance, seconds: float) -> None:
        _later(seconds, self._submit, instance)

    def _submit(self, instance: Instance, then: Callable[[Instance], None] = lambda instance: None) -> None:
        if not self._closing.is_set():
            self._workers.submit(self._try_restart, instance, then)

    def _try_restart(self, instance: Instance, then: Callable[[Instance], None]) -> None:
        try:
            self._restart(instance)
        except PaasError as error:  # what had happened could not be written down
            log.error("%s of %s: %s", instance.name, instance.app, error.message)
            self._restart_later(instance, _LONGEST_PAUSE)
        finally:
            then(instance)

    def _restart(self, old: Instance) -> None:
        row = releases.instance(self._db, old.id)
        if row is None or self._closing.is_set():
            return
        with self._locks.hold(str(row.app_id), f"the restart of {old.name}", cancelled=self._closing.is_set):
            row = releases.instance(self._db, old.id)
            if row is None or row.instance.state is not InstanceState.CRASHED:
                return
            app = apps.by_id(self._db, row.app_id)
            try:
                self._emptied(old.id)
                self._boot_again(app, row)
            except PaasError as error:
                restarts = row.restarts + 1
                again = self._policy(app, old).wanted(None, row.restarts, stopped=False)
                state = InstanceState.CRASHED if again else InstanceState.ENDED
                releases.record_end(self._db, old.id, state, restarts, row.reason or error.message)
                log.warning("%s of %s could not be restarted: %s", old.name, app.name, error.message)
                self._changed(app)
                if again:
                    self._restart_later(old, back_off(restarts))
            else:
                self._services.publish_or_later(app)
                self._changed(app)

    def _boot_again(self, app: App, row: InstanceRow) -> None:
        """Put a new container in the place of one that ended; the old one's log stays until the new one is healthy."""
        old = row.instance
        release = releases.current(self._db, app)
        if release is None:
            raise NotFound(f"{app.name} has no release")
        image = self._images.image(release.image_id)
        new = self._booter.boot(app, release, image, Slot(old.process, old.index))
        try:
            self._checks.wait_healthy([new], release, Discard(), self._closing.is_set)
            reached("restart:healthy")
            with self._db.transaction():
                releases.record_end(self._db, new.id, InstanceState.RUNNING, row.restarts, row.reason)
                releases.set_instance_state(self._db, old.id, InstanceState.DRAINING)
        except BaseException:
            self._booter.discard(new)
            raise
        reached("restart:committed")
        self._runtime.watch(new.id)
        self._booter.discard(old)

    # -- when the engine starts -----------------------------------------------------------------------------------

    def adopt(self, others: Mapping[str, IPv4Address | None] | None = None) -> list[Instance]:
        """Make rows and reality agree; returns the instances to be booted again (see `boot`).

        Running containers are left alone and watched. Whatever no row knows, and whatever had not become healthy, is
        removed; what was draining goes on draining. `others` are containers that are no instances, with the addresses
        of those that run: they are left alone.
        """
        spared = others or {}
        rows = releases.instances(self._db)
        known = {row.instance.id for row in rows}
        for id in self._runtime.ids():
            if id not in known and id not in spared:
                self._runtime.remove(id)
        alive = {row.instance.id for row in rows if self._runtime.status(row.instance.id).running}
        self._booter.adopt(
            (row.instance for row in rows if row.instance.id in alive),
            [address for address in spared.values() if address is not None],
        )
        lost: list[Instance] = []
        for row in rows:
            instance = row.instance
            if instance.state is InstanceState.STARTING or (
                instance.state is InstanceState.DRAINING and instance.id not in alive
            ):
                self._booter.discard(instance)
            elif instance.state is InstanceState.DRAINING:
                self._retirement.retire([instance])
            elif instance.id in alive:
                self._runtime.watch(instance.id)
                self._allow(instance)
            elif instance.state is not InstanceState.ENDED:
                reason = row.reason if instance.state is InstanceState.CRASHED else "ended while paas was not running"
                release = releases.serving(self._db, instance.app)
                back = release is None or not refused(release, "ps:restore")
                state = InstanceState.CRASHED if back else InstanceState.ENDED
                releases.record_end(self._db, instance.id, state, row.restarts, reason)
                if back:
                    lost.append(instance)
        releases.delete_unfinished(self._db)
        return lost

    def restore(self, app: App) -> int:
        """Start what has ended of an app and waits or stays so; its lock is held. Returns how many."""
        rows = releases.instances(self._db, app, (InstanceState.ENDED, InstanceState.CRASHED))
        for row in rows:
            releases.record_end(self._db, row.instance.id, InstanceState.CRASHED, 0, row.reason)
            self._submit(row.instance)
        return len(rows)

    def _allow(self, instance: Instance) -> None:
        """A former engine may have died while it changed the limits."""
        release = releases.serving(self._db, instance.app)
        if release is not None and instance.state is InstanceState.RUNNING:
            try:
                self._runtime.allow(instance.id, self._booter.allowance(release, instance.process))
            except SystemFailure as error:
                log.warning("%s of %s: %s", instance.name, instance.app, error.message)

    def boot(self, lost: list[Instance]) -> None:
        """Boot what was running before the machine or its containers went down: what others need first, a few side by
        side."""
        comeback = Comeback(lost, needs({app.name: self._wants(app) for app in self._apps_of(lost)}))
        lock = threading.Lock()

        def done(instance: Instance) -> None:
            with lock:
                ready = comeback.done(instance)
            for each in ready:
                self._submit(each, done)

        for instance in comeback.begin():
            self._submit(instance, done)

    def _apps_of(self, lost: list[Instance]) -> list[App]:
        names = {instance.app for instance in lost}
        return [app for app in apps.listing(self._db) if app.name in names]

    def _wants(self, app: App) -> Wants:
        release = releases.current(self._db, app)
        if release is None:
            return Wants(frozenset(), ())
        return Wants(networks_of(release), tuple(release.config.values()))


def _later(seconds: float, function: Callable[..., object], *arguments: object) -> None:
    timer = threading.Timer(seconds, function, args=arguments)
    timer.daemon = True
    timer.start()
