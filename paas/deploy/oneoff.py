"""One-off containers: a command in the environment of an app's current release, gone when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from paas.errors import Conflict
from paas.image.store import ImageStore
from paas.model import Image, Release
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import SandboxPool
from paas.runtime.spec import ContainerSpec, new_id
from paas.schedulers.boot import AppContainers, command_of, environment_of
from paas.schedulers.linked import Linked
from paas.state import releases
from paas.state.apps import App
from paas.state.database import Database


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

    def prepare(
        self,
        app: App,
        command: Sequence[str],
        extra_env: dict[str, str],
        undo: ExitStack,
        *,
        terminal: bool,
        stdio: tuple[int, int, int] | None,
    ) -> str:
        """Make a container and return its id; `undo` removes it with all that belongs to it."""
        spec = self.spec(app, command, extra_env, "run", terminal=terminal)
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
        release = releases.current(self._db, app)
        if release is None:
            raise Conflict(f"{app.name} has not been deployed", hint="Push to it first: git push paas master")
        image = self._images.image(release.image_id)
        env = environment_of(image, release, name, None)
        words = _words(image, release, command)
        spec = self._containers.spec(new_id(), release, image, name, words, env, terminal=terminal)
        return replace(spec, env={**spec.env, **extra_env})


def _words(image: Image, release: Release, command: Sequence[str]) -> tuple[str, ...]:
    """The command, after the image's entrypoint; the name of a process type stands for what its Procfile line says."""
    words = tuple(command)
    for process in release.processes:
        if words == (process.type,) and process.command is not None:
            words = process.command
    return command_of(image, words)
