"""One-off containers: a command in the environment of an app's release, gone when it ends."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from paas.deploy.piped import Piped
from paas.errors import Cancelled, Conflict
from paas.image.store import ImageStore
from paas.model import Image, Mount, Release, Who
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import SandboxPool
from paas.runtime.spec import ContainerSpec, new_id
from paas.schedulers.boot import AppContainers, command_of, environment_of
from paas.schedulers.linked import Linked
from paas.state import apps, releases
from paas.state.apps import App
from paas.state.database import Database, now

_GLANCE = 0.2
GRACE = 10.0
"""Seconds that a command has to end before it is killed."""
TIMED_OUT = 124
"""The exit status of a command that was ended because its time was up, as timeout(1) gives it."""


@dataclass(frozen=True, slots=True)
class Attached:
    """A command whose caller stays with it. It ends with the engine at the latest, so no row remembers it."""

    id: str
    """The container's."""
    app: int
    name: str
    """run.4711"""
    command: tuple[str, ...]
    who: str
    started: str


def new_name() -> str:
    return f"run.{secrets.randbelow(90_000) + 10_000}"


class OneOff:
    def __init__(
        self,
        db: Database,
        images: ImageStore,
        runtime: Runtime,
        sandboxes: SandboxPool,
        containers: AppContainers,
        linked: Linked,
    ) -> None:
        self._db = db
        self._images = images
        self.runtime = runtime
        self._sandboxes = sandboxes
        self._containers = containers
        self.linked = linked
        self._attached: dict[str, Attached] = {}
        self.running: dict[str, tuple[App, str]] = {}
        """All that end with the engine at the latest, by container: of which app, and what they are called there."""
        self._why: dict[str, str] = {}

    def attached(self, app: App) -> list[Attached]:
        """Those that run, the oldest first."""
        return [each for each in list(self._attached.values()) if each.app == app.id]

    def stop(self, attached: Attached) -> None:
        """SIGTERM, ten seconds, SIGKILL; its caller is told the exit status."""
        self.runtime.stop(attached.id, grace=GRACE)

    def end(self, id: str, why: str) -> None:
        """Kill one, and let whoever waits for it know why."""
        self._why[id] = why
        self.runtime.stop(id, grace=0)

    def why_ended(self, id: str) -> str | None:
        """What its caller is to be told of its end."""
        return self._why.get(id)

    def prepare(
        self,
        app: App,
        command: Sequence[str],
        extra_env: dict[str, str],
        undo: ExitStack,
        who: Who,
        *,
        terminal: bool,
        stdio: tuple[int, int, int] | None,
        beside: tuple[Mount, ...] = (),
    ) -> str:
        """Make a container and return its id; `undo` removes it with all that belongs to it.

        `beside` are mounts that it has as well; it begins in the first of them.
        """
        name = new_name()
        spec = self.spec(app, command, extra_env, name, terminal=terminal)
        if beside:
            own = tuple(mount for mount in spec.mounts if mount.target not in {each.target for each in beside})
            spec = replace(spec, mounts=(*own, *beside), cwd=beside[0].target)
        self._make(app, spec, name, undo, stdio)
        undo.callback(self._attached.pop, spec.id)
        self._attached[spec.id] = Attached(spec.id, app.id, name, tuple(command), str(who), now())
        return spec.id

    def _make(
        self, app: App, spec: ContainerSpec, name: str, undo: ExitStack, stdio: tuple[int, int, int] | None
    ) -> str:
        undo.callback(self._why.pop, spec.id, None)
        undo.callback(self.running.pop, spec.id)
        self.running[spec.id] = (app, name)
        sandbox = self._sandboxes.take()
        undo.callback(self._sandboxes.release, sandbox)
        undo.callback(self.runtime.remove, spec.id)
        self.runtime.create(spec, sandbox, stdio=stdio)
        undo.callback(self.linked.leave, spec.id)
        self.linked.join(spec.id, app, sandbox.address)
        return spec.id

    def spec(
        self, app: App, command: Sequence[str], extra_env: dict[str, str], name: str, *, terminal: bool = False
    ) -> ContainerSpec:
        """A container of the app's current release for a command. Raises Conflict when there is no release."""
        release, image = self.serving(app)
        return self._spec(release, image, name, command, extra_env, terminal=terminal)

    def serving(self, app: App) -> tuple[Release, Image]:
        """What such containers are made from. Raises Conflict before the first deploy."""
        release = releases.current(self._db, app)
        if release is None:
            raise Conflict(f"{app.name} has not been deployed", hint="Push to it first: git push paas master")
        return release, self._images.image(release.image_id)

    def run(
        self,
        release: Release,
        image: Image,
        name: str,
        command: Sequence[str],
        output: Callable[[bytes], None],
        cancelled: Callable[[], bool],
        *,
        limit: float | None = None,
        begun: Callable[[str], None] = lambda id: None,
    ) -> int:
        """Run a command to its end and return its exit status (TIMED_OUT after `limit` seconds). Raises Cancelled.

        `begun(id)` is called before it says anything. Whatever happens, nothing of the container is left.
        """
        spec = self._spec(release, image, name, command)
        deadline = None if limit is None else time.monotonic() + limit
        with ExitStack() as undo:
            piped = undo.enter_context(Piped(output))
            id = self._make(apps.get(self._db, release.app), spec, name, undo, piped.stdio)
            begun(id)
            self.runtime.start(id)
            while (status := self.runtime.wait(id, timeout=_GLANCE)) is None:
                if cancelled():
                    raise Cancelled(f"The {name} task was cancelled")
                if deadline is not None and time.monotonic() > deadline:
                    return TIMED_OUT
            if why := self.why_ended(id):
                output(f" !     {name} {why}\n".encode())
            return status

    def _spec(
        self,
        release: Release,
        image: Image,
        name: str,
        command: Sequence[str],
        extra_env: Mapping[str, str] | None = None,
        *,
        terminal: bool = False,
    ) -> ContainerSpec:
        env = environment_of(image, release, name, None)
        args = _words(image, release, command)
        spec = self._containers.spec(new_id(), release, image, name, args, env, terminal=terminal)
        return replace(spec, env={**spec.env, **(extra_env or {})})


def _words(image: Image, release: Release, command: Sequence[str]) -> tuple[str, ...]:
    """The command, after the image's entrypoint; the name of a process type stands for what its Procfile line says."""
    words = tuple(command)
    for process in release.processes:
        if words == (process.type,) and process.command is not None:
            words = process.command
    return command_of(image, words)
