"""One instance on this machine: from a slot of a release to a container that runs, and its removal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from paas.errors import Damaged, DeployFailed, InvalidInput
from paas.faults import reached
from paas.model import DEFAULT_PATH, WEB, Image, Instance, InstanceState, Release, Restart, revision
from paas.names import ProcessType
from paas.runtime.keptlogs import KeptLogs
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import Sandbox, SandboxPool
from paas.runtime.spec import Allowance, ContainerSpec, new_id
from paas.schedulers.holding import Holding, command_of_process
from paas.schedulers.plan import Slot
from paas.settings import Settings
from paas.state import releases
from paas.state.apps import App
from paas.state.database import Database


def web_port(release: Release) -> int:
    """The port the release's web process listens on."""
    for port in release.ports:
        if port.is_web:
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
    ours: dict[str, str] = {**revision(release.made_with, release.commit), "DYNO": name, "PAAS_APP": release.app}
    if port is not None:
        ours["PORT"] = str(port)
    base: Mapping[str, str] = {"PATH": DEFAULT_PATH, **image.config.env}
    return {**base, **release.config, **ours}


@dataclass(frozen=True, slots=True)
class AppContainers:
    """How containers with processes of an app are made, whatever they are for."""

    settings: Settings
    resolv_conf: str
    refuse_damaged: Callable[[Image], None]
    """Raises Damaged for an image that is not what it was when it was made."""

    def spec(
        self,
        id: str,
        release: Release,
        image: Image,
        name: str,
        args: tuple[str, ...],
        env: Mapping[str, str],
        *,
        process: ProcessType | None = None,
        terminal: bool = False,
    ) -> ContainerSpec:
        """The container `name` (web.1, run) of a release; without a process type it is a one-off. Raises Damaged."""
        try:
            self.refuse_damaged(image)
        except Damaged as error:
            hint = f"paas system:check --repair mends what it can; paas ps:rebuild {release.app} builds it again."
            raise Damaged(f"Release {release.number} of {release.app} cannot run. {error.message}", hint=hint) from None
        config = image.config
        spec = ContainerSpec(
            id=id,
            layers=tuple(layer.number for layer in image.layers),
            args=args,
            env=env,
            cwd=config.workdir or "/",
            user=config.user,
            hostname=f"{release.app}-{name}"[:63].strip(".-").replace(".", "-"),
            terminal=terminal,
            stop_signal=config.stop_signal or "SIGTERM",
            resolv_conf=self.resolv_conf,
        )
        return self.holding(release, process).held(spec, image)

    def holding(self, release: Release, process: ProcessType | None) -> Holding:
        return Holding(release, process, self.settings)


class Booter:
    """Makes and removes instances. Their rows are written first, so that an engine that dies finds what it made."""

    def __init__(
        self,
        db: Database,
        runtime: Runtime,
        sandboxes: SandboxPool,
        containers: AppContainers,
        kept_logs: KeptLogs,
        log_limit: Callable[[App], int],
    ) -> None:
        """`log_limit(app)` is how many bytes of its containers' logs are kept."""
        self._db = db
        self._runtime = runtime
        self._sandboxes = sandboxes
        self._containers = containers
        self._kept_logs = kept_logs
        self._log_limit = log_limit
        self._held: dict[str, Sandbox] = {}
        """Sandboxes by instance. Not found by address: after a restart of the machine addresses are given anew."""
        self.changed: Callable[[], None] = lambda: None
        """Called when an instance has been made and does not run yet, and when one has been removed."""

    def adopt(self, alive: Iterable[Instance], others: Iterable[IPv4Address] = ()) -> None:
        """Begin with the sandboxes of instances that a former engine left running, and with those at the addresses of
        `others`; all but these go."""
        found = list(alive)
        self._sandboxes.start({*(instance.address for instance in found), *others})
        for instance in found:
            sandbox = self._sandboxes.at(instance.address)
            if sandbox is not None:
                self._held[instance.id] = sandbox

    def boot(self, app: App, release: Release, image: Image, slot: Slot) -> Instance:
        """Start one container; it is not healthy yet. On an error nothing is left."""
        port = web_port(release) if slot.process == WEB else None
        arguments = command_of(image, command_of_process(release, slot.process))
        id, name = new_id(), str(slot)
        env = environment_of(image, release, name, port)
        spec = self._containers.spec(id, release, image, name, arguments, env, process=slot.process)
        spec = replace(spec, log_limit=self._log_limit(app))
        sandbox = self._sandboxes.take()
        instance = Instance(
            id=id,
            app=app.name,
            release=release.number,
            process=slot.process,
            index=slot.index,
            address=sandbox.address,
            port=port,
            state=InstanceState.STARTING,
        )
        self._held[instance.id] = sandbox
        try:
            releases.insert_instance(self._db, app, instance)
            reached("instance:recorded")
            self._runtime.create(spec, sandbox)
            reached("instance:created")
            self.changed()
            self._runtime.start(instance.id)
            reached("instance:started")
        except BaseException:
            self.discard(instance)
            raise
        return instance

    def stop_timeout(self, instance: Instance) -> int:
        """Seconds it has from its stop signal to SIGKILL, as the release that serves now has it."""
        release = releases.serving(self._db, instance.app)
        if release is None:
            return self._containers.settings.stop_timeout
        return self._containers.holding(release, instance.process).stop_timeout

    def restart_policy(self, release: Release, process: ProcessType) -> Restart:
        return self._containers.holding(release, process).restart

    def allowance(self, release: Release, process: ProcessType) -> Allowance:
        return self._containers.holding(release, process).allowance

    def discard(self, instance: Instance) -> None:
        """Remove an instance's container, sandbox and row, whatever is left of them. Its log is kept."""
        row = releases.instance(self._db, instance.id)
        if row is not None:
            self._runtime.put_away(instance.id)
            reached("discard:put-away")
            self._kept_logs.keep(
                self._runtime.log_path(instance.id),
                id=instance.id,
                app=row.app_id,
                release=instance.release,
                name=instance.name,
                started=row.started,
                failed=row.instance.state is InstanceState.STARTING,
            )
        reached("discard:log-kept")
        self._runtime.remove(instance.id)
        reached("discard:removed")
        sandbox = self._held.pop(instance.id, None)
        if sandbox is not None:
            self._sandboxes.release(sandbox)
            reached("discard:sandbox-released")
        releases.delete_instance(self._db, instance.id)
        reached("discard:forgotten")
        self.changed()
