"""The life of a container that belongs to no app: made, started, stopped, removed; one change at a time for each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from paas.containers import model
from paas.containers.ends import Ends
from paas.containers.health import Health
from paas.containers.making import refusal, spec_of
from paas.containers.model import Options
from paas.containers.names import ContainerName, generated
from paas.containers.parts import Parts
from paas.errors import Conflict, NotFound, PaasError, SystemFailure
from paas.faults import reached
from paas.model import PortMap
from paas.runtime.sandbox import Sandbox
from paas.runtime.spec import new_id
from paas.state import containers
from paas.state.containers import ALIVE, HOLDING, ContainerRow, State
from paas.system.locks import NamedLocks

log = logging.getLogger(__name__)

STOP_GRACE = 10.0
"""Seconds from the stop signal to SIGKILL, unless another time is given."""
LOST = 255
"""The exit status of a container whose end nobody saw: the machine went down under it."""

Before = Callable[[str], None]


class Life:
    """Thread-safe. Rows are written first, so that an engine that dies half way leaves nothing unknown."""

    def __init__(self, parts: Parts, ended: Callable[[ContainerRow, float], None]) -> None:
        """`ended(row, uptime)` is called, with the container's lock held, after one has ended, with the row as it is
        then and the seconds that it ran."""
        self._parts = parts
        self._db = parts.db
        self._runtime = parts.runtime
        self._ended = ended
        self._locks = NamedLocks()
        self._publishing = threading.Lock()
        self._held: dict[str, Sandbox] = {}
        self._doomed: set[str] = set()
        """Those that are being removed although they run."""
        self.health = Health(parts.db, parts.runtime)
        self.ends = Ends()

    # -- made and removed -----------------------------------------------------------------------------------------

    def run(
        self,
        image_name: str,
        options: Options,
        name: ContainerName | None,
        ports: Sequence[PortMap],
        before: Before = lambda id: None,
        *,
        publish_all: bool = False,
    ) -> ContainerRow:
        """Make a container and start it; on an error nothing is left. `before(id)` is called when it is made, just
        before it begins. With `publish_all` host ports are found for all ports that the image exposes.

        Raises NotFound for the image, Conflict for a name or port that is taken, InvalidInput, SystemFailure.
        """
        id = new_id()
        with self.hold(id, "its start"):
            with self._db.transaction(durable=False):  # one wait for the disk, when it runs
                image = self._parts.images.find(image_name)
                options = self._parts.volumes.completed(options, image)
                wanted = self._parts.ports.settled(ports, image.config.exposed_ports if publish_all else ())
                chosen = name or generated(lambda taken: containers.by_name(self._db, taken) is not None)
                row = containers.insert(self._db, id, chosen, image.id, image_name, model.dumps(options), wanted)
                self._parts.ports.check_free(row)
            reached("run:recorded")
            try:
                self._parts.volumes.prepare(options.mounts, image)
                self._boot(row, before)
            except BaseException:
                self.delete(id, volumes=True)
                raise
            return self.get(id)

    def remove(self, id: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container with all it has written; `volumes` those that were made for it as well.

        Raises Conflict for one that runs, unless `force` ends it.
        """
        if force:
            self._doomed.add(id)  # nobody puts away first what is removed at once
        try:
            if force:
                self._kill_now(id)
            self._remove(id, force, volumes)
        finally:
            self._doomed.discard(id)

    def _remove(self, id: str, force: bool, volumes: bool) -> None:
        with self.hold(id, "its removal"):
            row = self.get(id)
            if row.state in HOLDING and not force:
                raise Conflict(
                    f"Container {row.name} is {row.state}", hint=f"Stop it first: stop {row.name}; or: rm -f {row.name}"
                )
            self.delete(id, volumes=volumes)

    def rename(self, id: str, name: ContainerName) -> None:
        containers.set_name(self._db, self.get(id).id, name)

    # -- started and ended ----------------------------------------------------------------------------------------

    def start(self, id: str, before: Before = lambda id: None) -> None:
        """Start one that has ended, upon what it had written; nothing happens when it runs."""
        with self.hold(id, "its start"):
            row = self.get(id)
            if row.state is State.PAUSED:
                raise Conflict(f"Container {row.name} is paused", hint=f"unpause {row.name}")
            if row.state is State.REMOVING:
                raise Conflict(f"Container {row.name} is half removed", hint=f"rm {row.name}")
            if row.state not in ALIVE:
                self.boot(row, restarts=0, before=before)

    def boot(self, row: ContainerRow, *, restarts: int, before: Before = lambda id: None) -> None:
        """Start a container that does not run; its lock is held. On an error it has ended as it had before."""
        try:
            with self._db.transaction():
                containers.set_state(self._db, row.id, State.STARTING)
                containers.set_restarts(self._db, row.id, restarts)
                self._parts.ports.check_free(row)
            self._boot(row, before)
        except BaseException as error:
            said = error.message if isinstance(error, PaasError) else "interrupted"
            state = row.state if row.state is State.RESTARTING else State.EXITED
            containers.set_ended(self._db, row.id, state, row.exit_code, oom=row.oom, restarts=restarts, error=said)
            raise

    def stop(self, id: str, grace: float = STOP_GRACE) -> None:
        """Its stop signal, up to `grace` seconds, then SIGKILL. It stays ended; nothing happens when it is."""
        with self.hold(id, "its stop"):
            row = self.get(id)
            containers.set_stopped(self._db, id)
            if row.state is State.RESTARTING:
                containers.set_ended(
                    self._db, id, State.EXITED, row.exit_code, oom=row.oom, restarts=row.restarts, error=row.error
                )
            elif row.state in ALIVE:
                if row.state is State.PAUSED:
                    self._runtime.resume(id)
                self._runtime.stop(id, grace=grace)
                self.finish(id)

    def restart(self, id: str, grace: float = STOP_GRACE) -> None:
        """Stop and start. One that was to be removed at its end is kept, as it has not come to it."""
        with self.hold(id, "its restart"):
            row = self.get(id)
            if row.state in ALIVE:
                if row.state is State.PAUSED:
                    self._runtime.resume(id)
                self._runtime.stop(id, grace=grace)
                self.clear(id)
            self.boot(row, restarts=0)

    def kill(self, id: str, signal: str = "KILL") -> None:
        """Send a signal to its first process; one that is to end it is waited for. Raises Conflict, InvalidInput."""
        row = self.get(id)
        if row.state not in ALIVE:
            raise Conflict(f"Container {row.name} is not running", hint=f"start {row.name}")
        plain = signal.upper().removeprefix("SIG")
        deadly = plain in ("KILL", "9")
        stop_signal = str(self._runtime.spec(id).get("stop_signal") or "SIGTERM").removeprefix("SIG")
        if deadly or plain == stop_signal:
            containers.set_stopped(self._db, id)
        if deadly:
            self._kill_now(id)
            self.finished(id)
        else:
            self._runtime.signal(id, plain)

    def pause(self, id: str) -> None:
        with self.hold(id, "its pause"):
            row = self.get(id)
            if row.state is not State.RUNNING:
                raise Conflict(f"Container {row.name} is {row.state}", hint="Only one that runs can be paused.")
            self._runtime.pause(id)
            containers.set_state(self._db, id, State.PAUSED)

    def unpause(self, id: str) -> None:
        with self.hold(id, "its resumption"):
            row = self.get(id)
            if row.state is not State.PAUSED:
                raise Conflict(f"Container {row.name} is not paused")
            self._runtime.resume(id)
            containers.set_state(self._db, id, State.RUNNING)

    # -- the end --------------------------------------------------------------------------------------------------

    def finished(self, id: str) -> None:
        """Its process is gone: note how, unless somebody has done so already."""
        if id in self._doomed:
            return
        with self.hold(id, "its end"):
            row = containers.get(self._db, id)
            if row is not None and row.state in (State.RUNNING, State.PAUSED) and self._runtime.pid(id) is None:
                self.finish(id)

    def finish(self, id: str) -> None:
        """Put away what has ended, and tell everybody who waits for it; its lock is held."""
        row = self.get(id)
        status, uptime = self._runtime.status(id), self._runtime.uptime(id)
        code = LOST if status.exit_code is None else status.exit_code
        if not model.loads(row.options).remove:
            self.clear(id)
            reached("end:put-away")
            containers.set_ended(self._db, id, State.EXITED, code, oom=status.oom, restarts=row.restarts)
            reached("end:recorded")
            self.publish(row)
        try:
            self._ended(self.get(id), uptime)
        finally:
            self.ends.tell(id, code)

    def clear(self, id: str) -> None:
        """Leave nothing of a container but what is on disk."""
        self.health.stop(id)
        self._runtime.put_away(id)
        self._let_go(id)

    def _let_go(self, id: str) -> None:
        sandbox = self._held.pop(id, None)
        if sandbox is not None:
            self._parts.sandboxes.let_go(sandbox)

    def delete(self, id: str, *, volumes: bool = False) -> None:
        """Remove all of it, and if told so the volumes that were made for it; its lock is held."""
        row = self.get(id)
        options = model.loads(row.options)
        with self._db.transaction(durable=False):
            containers.set_state(self._db, id, State.REMOVING)
        reached("rm:recorded")
        code = row.exit_code
        if row.state in (State.RUNNING, State.PAUSED) and self._runtime.pid(id) is None:
            code = self._runtime.status(id).exit_code
        self.health.stop(id)
        self._runtime.end(id)
        self._let_go(id)
        reached("rm:ended")
        with self._db.transaction(durable=not options.remove):
            containers.delete(self._db, id)
        reached("rm:forgotten")
        self._runtime.discard(id)  # after its row: files without one are removed by the next engine
        if volumes:
            self._parts.volumes.remove_anonymous(options)
        self.publish(row)
        self.ends.tell(id, LOST if code is None else code)

    # -- what is known --------------------------------------------------------------------------------------------

    def get(self, id: str) -> ContainerRow:
        """Raises NotFound."""
        row = containers.get(self._db, id)
        if row is None:
            raise NotFound(f"Container {id[:12]} does not exist any more")
        return row

    def adopt_sandbox(self, row: ContainerRow) -> None:
        """Of a process that a former engine left, whatever becomes of it: its sandbox is in use."""
        sandbox = self._parts.sandboxes.at(row.address) if row.address is not None else None
        if sandbox is not None:
            self._held[row.id] = sandbox

    def adopt_running(self, row: ContainerRow) -> None:
        """Take over one that a former engine left running."""
        if row.state is State.RUNNING:
            self._runtime.resume(row.id, check=False)  # an engine may have died while a commit had it paused
        self._runtime.watch(row.id)
        self.health.resume(row, self._parts.images.image(row.image).config.healthcheck)

    def publish(self, row: ContainerRow) -> None:
        """Have the network know where the ports of all containers lead now; `row` is the one that has changed."""
        if row.ports:
            with self._publishing:  # the last one to look is the last one to tell
                self._parts.network.set_forwards(self._parts.ports.forwards(), "containers")

    @contextmanager
    def hold(self, id: str, purpose: str) -> Iterator[None]:
        """The container's lock. Its holder may take it again."""
        with self._locks.hold(id, purpose):
            yield

    # -- inside ---------------------------------------------------------------------------------------------------

    def _boot(self, row: ContainerRow, before: Before) -> None:
        options = model.loads(row.options)
        image = self._parts.images.image(row.image)
        self._parts.images.refuse_damaged(image)
        spec = spec_of(row.id, options, image, self._parts.settings, self._parts.resolv_conf)
        check = image.config.healthcheck
        try:
            sandbox = self._held[row.id] = self._parts.sandboxes.take()
            with self._db.transaction(durable=False):
                containers.set_starting(self._db, row.id, sandbox.address)
            reached("run:starting")
            self._runtime.create(spec, sandbox)
            self.publish(row)
            before(row.id)
            self._runtime.start(row.id)
            reached("run:started")
            with self._db.transaction(durable=not options.remove):  # it does not outlive a crash in any case
                containers.set_running(self._db, row.id, self.health.first(check))
            reached("run:running")
            self.health.start(row.id, check)
        except SystemFailure as error:
            self.clear(row.id)
            raise refusal(error, spec.args[0]) from None
        except BaseException:
            self.clear(row.id)
            raise

    def _kill_now(self, id: str) -> None:
        """Without the lock, which may be held by a patient stop: after this it is let go soon."""
        row = self.get(id)
        if self._runtime.pid(id) is not None:
            containers.set_stopped(self._db, id)
            self._runtime.signal(id, "KILL")
            if row.state is State.PAUSED:
                self._runtime.resume(id)
            self._runtime.wait(id, timeout=10)
