"""One-off containers: a command in the environment of an app's current release, gone when it ends."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import ExitStack

from paas.errors import Conflict
from paas.image.store import ImageStore
from paas.model import Image, Release
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import SandboxPool
from paas.runtime.spec import ContainerSpec
from paas.schedulers.boot import command_of, environment_of
from paas.settings import Settings
from paas.state import releases
from paas.state.apps import App
from paas.state.database import Database


class OneOff:
    def __init__(
        self,
        settings: Settings,
        db: Database,
        images: ImageStore,
        runtime: Runtime,
        sandboxes: SandboxPool,
        resolv_conf: str,
    ) -> None:
        self._settings = settings
        self._db = db
        self._images = images
        self.runtime = runtime
        self._sandboxes = sandboxes
        self._resolv_conf = resolv_conf

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
        release = releases.current(self._db, app)
        if release is None:
            raise Conflict(f"{app.name} has not been deployed", hint="Push to it first: git push paas master")
        image = self._images.image(release.image_id)
        id = secrets.token_hex(32)
        spec = self._spec(id, release, image, command, extra_env, terminal)
        sandbox = self._sandboxes.take()
        undo.callback(self._sandboxes.release, sandbox)
        undo.callback(self.runtime.remove, id)
        self.runtime.create(spec, sandbox, stdio=stdio)
        return id

    def _spec(
        self,
        id: str,
        release: Release,
        image: Image,
        command: Sequence[str],
        extra_env: dict[str, str],
        terminal: bool,
    ) -> ContainerSpec:
        declared = {process.type: process.command for process in release.processes}
        words = tuple(command)
        if len(words) == 1 and (known := declared.get(words[0])) is not None:  # type: ignore[call-overload]
            words = known
        return ContainerSpec(
            id=id,
            layers=tuple(layer.number for layer in image.layers),
            args=words if image.config.entrypoint is None else command_of(image, words),
            env={**environment_of(image, release, "run", None), **extra_env},
            cwd=image.config.workdir or "/",
            user=image.config.user,
            hostname=f"{release.app}-run"[:63].replace(".", "-"),
            terminal=terminal,
            init=True,
            mounts=release.mounts,
            memory=self._settings.app_memory,
            pids=self._settings.app_pids,
            stop_signal=image.config.stop_signal or "SIGTERM",
            resolv_conf=self._resolv_conf,
        )
