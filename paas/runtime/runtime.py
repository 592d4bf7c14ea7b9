"""The runtime: containers from a spec to their end. A container outlives the engine and is found again."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paas.errors import Conflict, PaasError, SystemFailure
from paas.faults import reached
from paas.image.passwd import resolve_user
from paas.paths import Paths
from paas.runtime import cgroups, conmon, oci, rootfs, terminals
from paas.runtime.exec import ExecSession, start_exec
from paas.runtime.inspection import Inspection, Status, start_time
from paas.runtime.sandbox import Sandbox, SandboxPool
from paas.runtime.seccomp import CompiledProfile
from paas.runtime.spec import Allowance, ContainerSpec
from paas.runtime.steps import Steps
from paas.runtime.watcher import Watcher
from paas.settings import Settings
from paas.system import mounts
from paas.system import run as system
from paas.system.files import ensure_directory, remove_tree, write_private
from paas.system.processes import gone_within
from paas.system.signals import signal_number

__all__ = ["Runtime", "Status"]

log = logging.getLogger(__name__)

_DOOMED = "doomed-"
_WITHOUT_KEEPER = 10.0
"""Seconds that a container whose conmon was killed has from its stop signal to SIGKILL."""


class Runtime(Inspection):
    """Thread-safe as long as one container is not created or removed twice at once."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        super().__init__(settings, paths)
        self._namespace = cgroups.RuntimeNamespace(paths.run)
        self._watcher = Watcher()
        self._keepers = Watcher()
        self._keepers.callback = self._keeper_gone
        self._cleaner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cleaner")
        self._seccomp = CompiledProfile(paths.run, oci.CAPABILITIES)

    def prepare(self) -> None:
        """Make what all containers share. Called once, before anything is mounted below the run directory."""
        self._namespace.prepare()
        for directory in (self._places.crun, self._places.exits, self._places.sockets, self._places.persist):
            ensure_directory(directory, mode=0o700)
        ensure_directory(self._paths.bundles, mode=0o711)
        ensure_directory(self._paths.containers, mode=0o711)
        try:
            cgroups.bound(self._settings.cgroup, self._settings.containers_memory)
        except SystemFailure as error:  # such as: more is in use at the moment
            log.warning("%s", error.message)

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """`callback(id)` is called, on a thread of ours, when a watched container's process is gone."""
        self._watcher.callback = callback

    # -- life -----------------------------------------------------------------------------------------------------

    def create(self, spec: ContainerSpec, sandbox: Sandbox, *, stdio: tuple[int, int, int] | None = None) -> None:
        """Make a container; nothing of the image runs yet. With `stdio` its streams are these, else its log's.

        What it had on disk from before (see `put_away`), its changes and its log, it has again. Raises InvalidInput for
        what the image or spec got wrong, SystemFailure for what the host refuses. Call `remove` after an error.
        """
        home = self._home(spec.id)
        ensure_directory(home, mode=0o700)
        data = ensure_directory(home / "data", mode=0o711)
        if spec.volatile:
            remove_tree(data / "work")  # overlayfs refuses a used one: it may be half of what it was
            ensure_directory(data / "work")
        if not (data / "upper").exists():
            for name in ("work", "upper"):
                ensure_directory(data / name)
            rootfs.begin_upper(data / "upper", self._paths.layers, spec.layers)
        write_private(home / "spec.json", json.dumps(_without_secrets(spec)))
        bundle = self._bundle(spec.id)
        paths = self._paths
        made = bundle.make(
            spec,
            sandbox,
            paths.layers,
            data,
            self._cgroup(spec.id),
            self._seccomp,
            kept=paths.data,
            volatile=spec.volatile,
        )
        if made:  # not again when it is made a second time
            write_private(home / "stubs.json", json.dumps(made))
        reached("container:mounted")
        group = self._group(spec.id)
        group.create(bundle.resources())
        reached("container:cgroup-made")
        command = conmon.argv(
            self._places,
            spec.id,
            bundle.directory,
            self.log_path(spec.id),
            group.joined(conmon.crun(self._places)),
            terminal=spec.terminal,
            passthrough=stdio is not None,
            stdin=spec.stdin,
            keep_stdin=spec.keep_stdin,
            log_limit=spec.log_limit,
        )
        ensure_directory(self._places.persist / spec.id, mode=0o700)  # conmon dies without a word where it is missing
        pid = conmon.create((*self._namespace.prefix, *command), stdio, bundle.directory)
        reached("container:conmon-started")
        self._seccomp.keep(self._places.crun / spec.id / "seccomp.bpf")
        terminals.open_streams(pid)
        (bundle.directory / "started").write_text(f"{pid} {start_time(pid)}")

    def start(self, id: str) -> None:
        """Let a created container's process run, and watch it."""
        if not conmon.let_begin(self._places, id):
            system.run((*self._namespace.prefix, *conmon.crun(self._places, "start", id)))
        self.watch(id)

    def watch(self, id: str) -> None:
        """Have `on_exit` told when this container's process is gone; at once when it is gone already.

        Whoever begins to care about the end of a container asks (again): an end before that was told to nobody.
        """
        pid = self.pid(id)
        self._watcher.add(id, pid)
        if pid is not None:
            self._keepers.add(id, conmon.keeper_of(pid))

    def stop(self, id: str, *, grace: float) -> None:
        """The container's stop signal, up to `grace` seconds, then SIGKILL. Returns when its process is gone."""
        if self.pid(id) is None:
            return
        if grace > 0:
            self.signal(id, str(self.spec(id).get("stop_signal") or "SIGTERM"))
            if self.wait(id, timeout=grace) is not None:
                return
        self.signal(id, "SIGKILL")
        self.wait(id, timeout=10)

    def signal(self, id: str, name: str) -> None:
        """Send a signal to the container's first process; nothing happens when it is gone."""
        pid = self.pid(id)
        number = signal_number(name)
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def wait(self, id: str, timeout: float) -> int | None:
        """The exit status once the container has ended; None when it runs on after `timeout` seconds."""
        pid = self.pid(id)
        if pid is not None and not gone_within(pid, timeout):
            return None
        code = self.status(id).exit_code
        return 255 if code is None else code

    def pause(self, id: str) -> None:
        """Freeze all processes of a container. They take no signal before `resume`, SIGKILL neither on cgroups v1."""
        self._group(id).freeze()

    def resume(self, id: str, *, check: bool = True) -> None:
        """Without `check` nothing happens when it is not paused."""
        with contextlib.nullcontext() if check else contextlib.suppress(SystemFailure):
            self._group(id).thaw()

    def allow(self, id: str, allowance: Allowance) -> None:
        """Let a container that runs have this from now on. Raises SystemFailure when it has more than that in use."""
        cgroups.allow(self._cgroup(id), allowance)

    def set_names(self, id: str, names: Sequence[tuple[str, str]]) -> bool:
        """(name, address) of others that a container is to find, in place of those it was told before.

        False: there is no container, or not yet.
        """
        return self._bundle(id).set_names(names)

    def remove(self, id: str) -> None:
        """Kill a container and remove all that belongs to it; harmless when there is nothing."""
        self.put_away(id)
        remove_tree(self._home(id))

    def discard(self, id: str) -> None:
        """Like `remove`, but the files go while nobody waits: to unmount a file system brings all of the disk up to
        date. What an engine that ends leaves of them has names that are no container's, and goes with the next one."""
        self.end(id)
        for directory in (self._bundle(id).directory, self._home(id)):
            doomed = directory.with_name(f"{_DOOMED}{secrets.token_hex(8)}")
            with contextlib.suppress(FileNotFoundError):
                directory.rename(doomed)
                self._cleaner.submit(_remove_mounted, doomed)

    def put_away(self, id: str) -> None:
        """Kill a container and remove all of it but its changes and its log; `create` makes it again upon these."""
        self.end(id)
        self._bundle(id).remove()
        reached("container:unmounted")

    def empty(self, id: str) -> None:
        """Kill a container and remove all of it but its log."""
        self.put_away(id)
        data = self._home(id) / "data"
        remove_tree(data)
        for name in ("upper", "work"):
            ensure_directory(ensure_directory(data, mode=0o711) / name)

    def end(self, id: str) -> None:
        """Kill a container; what is left of it are its files. Harmless when it has ended."""
        self._watcher.discard(id)
        self._keepers.discard(id)
        if self._bundle(id).directory.exists():
            if self.pid(id) is not None:
                self.resume(id, check=False)  # what is frozen cannot die
            self.stop(id, grace=0)
        reached("container:ended")
        self._group(id).remove()
        reached("container:cgroup-removed")
        places = self._places
        for path in (places.crun / id, places.persist / id, places.sockets / id, places.exits / id):
            remove_tree(path)

    # -- terminals ------------------------------------------------------------------------------------------------

    def attach(self, id: str) -> socket.socket:
        """conmon's end of the container's terminal: a SOCK_SEQPACKET socket; output has one byte in front."""
        return terminals.connect(self._places.sockets / id)

    def resize(self, id: str, rows: int, columns: int) -> None:
        """Tell the container's terminal its size."""
        terminals.resize(self._bundle(id).directory, rows, columns)

    def exec(
        self,
        id: str,
        arguments: Sequence[str],
        *,
        terminal: bool,
        stdio: tuple[int, int, int],
        env: Mapping[str, str],
        user: str | None = None,
        cwd: str | None = None,
    ) -> ExecSession:
        """Run another process in a running container, as its own user and with its environment unless told otherwise.

        Raises Conflict when it does not run, InvalidInput for a user that it does not have.
        """
        if self.pid(id) is None:
            raise Conflict(f"Container {id[:12]} is not running")
        process = dict(self._bundle(id).config()["process"])  # type: ignore[call-overload]
        process |= {"args": list(arguments), "terminal": terminal}
        variables = dict(entry.partition("=")[::2] for entry in process["env"]) | dict(env)
        process["env"] = [f"{key}={value}" for key, value in variables.items()]
        if user is not None:
            process |= oci.run_as(process, resolve_user(self._bundle(id).root, user))
        if cwd is not None:
            process["cwd"] = cwd
        prefix = (*self._namespace.prefix, *self._group(id).joined(conmon.crun(self._places, "exec")))
        return start_exec(prefix, id, process, self._bundle(id).directory, stdio if not terminal else None)

    # -- build steps ----------------------------------------------------------------------------------------------

    def steps(self, sandboxes: SandboxPool) -> Steps:
        return Steps(self._settings.cgroup, self._paths, self._namespace, self._seccomp, sandboxes)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _keeper_gone(self, id: str) -> None:
        """conmon was killed: nobody reads what the container says, which soon blocks or ends it, and nobody would note
        how it ends. It is ended by us; whoever watches it starts another one."""
        if self.pid(id) is not None:
            log.error("conmon of container %s is gone; the container is ended", id[:12])
            self.stop(id, grace=_WITHOUT_KEEPER)


def _remove_mounted(directory: Path) -> None:
    try:
        mounts.unmount_below(directory)
        remove_tree(directory)
    except (PaasError, OSError) as error:
        log.error("%s cannot be removed: %s", directory, error)


def _without_secrets(spec: ContainerSpec) -> dict[str, Any]:
    value = asdict(spec)
    for name in ("env", "secret_files", "host_files"):
        del value[name]
    value["mounts"] = [str(mount) for mount in spec.mounts]
    return value
