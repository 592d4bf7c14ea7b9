"""Taking everything down that runs on this host for a run directory: containers, nginx, network, mounts, cgroups."""

from __future__ import annotations

import fcntl
import os
import signal

from paas.errors import Conflict
from paas.network.network import Network
from paas.paths import Paths
from paas.proxy.proxy import stop_all
from paas.runtime import cgroups
from paas.runtime.runtime import Runtime
from paas.settings import Settings
from paas.system import mounts
from paas.system.files import remove_tree


def teardown(settings: Settings) -> None:
    """Leave nothing of it; data stays. Raises Conflict while an engine runs."""
    paths = Paths(settings.data_dir, settings.run_dir)
    if not paths.run.is_dir():
        return
    descriptor = os.open(paths.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict("The engine is running", hint="Stop it first.") from None
    stop_all(paths.run)
    if paths.bundles.is_dir():
        runtime = Runtime(settings, paths)
        runtime.prepare()
        for entry in list(paths.bundles.iterdir()):
            _kill(runtime, entry.name)
    Network(settings).teardown()
    mounts.unmount_below(paths.run)
    cgroups.remove(settings.cgroup)
    os.close(descriptor)
    remove_tree(paths.run)


def _kill(runtime: Runtime, id: str) -> None:
    """End a container, but leave its writable layer and log: data stays."""
    pid = runtime.pid(id)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)
        runtime.wait(id, timeout=10)
