"""One instance on this machine: from a slot of a release to a container that runs, and its removal."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from paas.errors import DeployFailed, InvalidInput
from paas.model import Image, Instance, InstanceState, Release
from paas.names import ProcessType
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import Sandbox, SandboxPool
from paas.runtime.spec import ContainerSpec
from paas.schedulers.plan import Slot
from paas.settings import Settings
from paas.state import releases
from paas.state.apps import App
from paas.state.database import Database

WEB = ProcessType("web")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def web_port(release: Release) -> int:
    """The port the release's web process listens on."""
    for port in release.ports:
        if port.scheme in ("http", "https"):
            return port.container
    raise DeployFailed(f"Release {release.number} serves no http port")


def command_of(image: Image, command: tuple[str, ...] | None) -> tuple[str, ...]:
    """The arguments of a process: the image's entrypoint, then the given command or the image's own."""
    arguments = (image.config.entrypoint or ()) + (image.config.cmd or () if command is None else command)
    if not arguments:
        raise InvalidInput(
            "The image says no command to run", hint="Add CMD to the Dockerfile, or a Procfile with a line 'web: ...'."
        )
    return arguments


def environment_of(image: Image, release: Release, name: str, port: int | None) -> dict[str, str]:
    """What a process finds in its environment: the image's, the config vars, then what paas says."""
    ours: dict[str, str] = {"DYNO": name, "PAAS_APP": release.app, "GIT_REV": release.commit}
    if port is not None:
        ours["PORT"] = str(port)
    base: Mapping[str, str] = {"PATH": DEFAULT_PATH, **image.config.env}
    return {**base, "GIT_REV": release.commit, **release.config, **ours}


class Booter:
    """Makes and removes instances. Their rows are written first, so that an engine that dies finds what it made."""

    def __init__(
        self, settings: Settings, db: Database, runtime: Runtime, sandboxes: SandboxPool, resolv_conf: str
    ) -> None:
        self._settings = settings
        self._db = db
        self._runtime = runtime
        self._sandboxes = sandboxes
        self._resolv_conf = resolv_conf

    def boot(self, app: App, release: Release, image: Image, slot: Slot) -> Instance:
        """Start one container; it is not healthy yet. On an error nothing is left."""
        process = next(p for p in release.processes if p.type == slot.process)
        port = web_port(release) if slot.process == WEB else None
        arguments = command_of(image, process.command)
        sandbox = self._sandboxes.take()
        instance = Instance(
            id=secrets.token_hex(32),
            app=app.name,
            release=release.number,
            process=slot.process,
            index=slot.index,
            address=sandbox.address,
            port=port,
            state=InstanceState.STARTING,
        )
        releases.insert_instance(self._db, app, instance)
        try:
            self._runtime.create(self._spec(instance, release, image, arguments), sandbox)
            self._runtime.start(instance.id)
        except BaseException:
            self.discard(instance, sandbox)
            raise
        return instance

    def discard(self, instance: Instance, sandbox: Sandbox | None = None) -> None:
        """Remove an instance's container, sandbox and row, whatever is left of them."""
        self._runtime.remove(instance.id)
        releases.delete_instance(self._db, instance.id)
        found = sandbox or self._sandboxes.at(instance.address)
        # After a restart of the machine addresses are given anew: an old row's may be another instance's by now.
        if found is not None and not releases.address_in_use(self._db, instance.address):
            self._sandboxes.release(found)

    def _spec(self, instance: Instance, release: Release, image: Image, arguments: tuple[str, ...]) -> ContainerSpec:
        config = image.config
        return ContainerSpec(
            id=instance.id,
            layers=tuple(layer.number for layer in image.layers),
            args=arguments,
            env=environment_of(image, release, instance.name, instance.port),
            cwd=config.workdir or "/",
            user=config.user,
            hostname=f"{instance.app}-{instance.process}-{instance.index}"[:63].strip(".-").replace(".", "-"),
            init=True,
            mounts=release.mounts,
            memory=self._settings.app_memory,
            pids=self._settings.app_pids,
            stop_signal=config.stop_signal or "SIGTERM",
            resolv_conf=self._resolv_conf,
        )
