"""Build steps: short containers without conmon, one after the other on one bench."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import stat
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from paas.errors import Conflict
from paas.faults import reached
from paas.paths import Paths
from paas.runtime import cgroups, conmon
from paas.runtime.bundle import Bundle
from paas.runtime.cgroups import Group, Limits, RuntimeNamespace
from paas.runtime.sandbox import Sandbox, SandboxPool
from paas.runtime.seccomp import CompiledProfile
from paas.runtime.spec import ContainerSpec
from paas.system import run as system
from paas.system.inroot import open_in_root
from paas.system.processes import gone_within

_PREFIX = "build-"
_GLANCE = 0.2
"""Seconds between two looks at whether a step is cancelled, late or too large."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a step ended. `exit_code` as a shell would give it (128 + signal)."""

    exit_code: int
    oom: bool = False
    crowded: bool = False
    """Whether it was refused one more process."""


class Steps:
    """Makes benches. Thread-safe."""

    def __init__(
        self,
        cgroup: str,
        paths: Paths,
        namespace: RuntimeNamespace,
        profile: CompiledProfile,
        sandboxes: SandboxPool,
    ) -> None:
        self._cgroup = cgroup
        self.paths = paths
        self.namespace = namespace
        self.profile = profile
        self.sandboxes = sandboxes
        self.places = conmon.Places(paths.run)

    def recover(self) -> None:
        """At start: end what still runs of builds whose engine was killed, and remove their cgroups."""
        for name in cgroups.below(self._cgroup):
            if name.startswith(_PREFIX):
                cgroups.end(f"{self._cgroup}/{name}")

    def build(self, limits: Limits) -> BuildGroup:
        return BuildGroup(self, f"{self._cgroup}/{_PREFIX}{secrets.token_hex(6)}", limits)


class BuildGroup:
    """A context manager: the limits that all steps of a build share. Its cgroup is made when the first step runs."""

    def __init__(self, steps: Steps, cgroup: str, limits: Limits) -> None:
        self.steps = steps
        self._group = Group(cgroup)
        self._limits = limits
        self._lock = threading.Lock()
        self._made = False

    def __enter__(self) -> BuildGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made:
            self._group.remove()

    def cgroup(self) -> Group:
        """Raises SystemFailure when the host lacks the controllers."""
        with self._lock:
            if not self._made:
                self._made = True
                self._group.create(self._limits)
                reached("step:cgroup-made")
        return self._group

    def bench(self) -> Bench:
        return Bench(self)


class Bench:
    """A context manager: the namespaces that the steps of one stage share. Made when the first step runs."""

    def __init__(self, build: BuildGroup) -> None:
        self._steps = build.steps
        self._build = build
        self._sandbox: Sandbox | None = None

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sandbox is not None:
            self._steps.sandboxes.release(self._sandbox)
            self._sandbox = None

    def run(self, spec: ContainerSpec, data: Path, output: int, stopped: Callable[[], bool]) -> Ended:
        """Run a step to its end on top of `spec.layers`; what it changes is left in `data`/upper.

        Standard output and error go to the descriptor `output`. `stopped` is asked several times a second: when it
        says yes, or raises, the step is killed first. Raises InvalidInput for what the image or spec got wrong.
        """
        steps, group = self._steps, self._build.cgroup()
        if self._sandbox is None:
            self._sandbox = steps.sandboxes.take()
        bundle = Bundle(steps.paths.bundles / spec.id)
        process: system.Process | None = None
        try:
            paths = steps.paths
            made = bundle.make(
                spec, self._sandbox, paths.layers, data, group.path, steps.profile, kept=paths.data, volatile=True
            )
            reached("step:mounted")
            command = conmon.crun(steps.places, "run", "--bundle", str(bundle.directory), spec.id)
            kills, forks = cgroups.oom_kills(group.path), cgroups.refused_forks(group.path)
            argv = group.joined((*steps.namespace.prefix, *command))
            process = system.start(argv, stdout=output, stderr=output, new_session=True)
            reached("step:started")
            while not gone_within(process.pid, _GLANCE):
                if stopped():
                    break
            self._end(spec.id, process)
            reached("step:ended")
            bundle.remove()
            remove_stubs(data / "upper", made)
            code = process.returncode
            killed = code == -signal.SIGKILL or code == 128 + signal.SIGKILL
            return Ended(
                exit_code=128 - code if code < 0 else code,
                oom=killed or cgroups.oom_kills(group.path) > kills,
                crowded=cgroups.refused_forks(group.path) > forks,
            )
        finally:
            if process is not None:
                self._end(spec.id, process)
            bundle.remove()

    def _end(self, id: str, process: system.Process) -> None:
        """Kill what still runs of a step, before anything is unmounted under it; also when crun itself was killed, and
        its container goes on."""
        status = process.poll()
        if status is None or status < 0:
            delete = conmon.crun(self._steps.places, "delete", "--force", id)
            system.run((*self._steps.namespace.prefix, *delete), check=False)
        if status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # also what has just been forked and is in no state file yet
            process.wait(timeout=10)


class Deadline:
    """The end of a build's time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._at = time.monotonic() + seconds

    def check(self) -> None:
        """Raises Conflict once it has passed."""
        if time.monotonic() > self._at:
            raise Conflict(f"The build took longer than {self._seconds:.0f} seconds")


def remove_stubs(upper: Path, made: Sequence[str]) -> None:
    """Take what was made to be mounted over out of a layer again, where the step left it empty; deepest first."""
    root = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in sorted(made, key=len, reverse=True):
            parent, _, name = path.rstrip("/").rpartition("/")
            try:
                directory = open_in_root(root, parent or "/", os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                continue
            try:
                info = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    os.rmdir(name, dir_fd=directory)
                elif stat.S_ISREG(info.st_mode) and info.st_size == 0:
                    os.unlink(name, dir_fd=directory)
            except OSError:
                pass  # the step put something there
            finally:
                os.close(directory)
    finally:
        os.close(root)
