"""Taking everything down that runs on this host for a run directory: containers, nginx, network, mounts, cgroups."""

from __future__ import annotations

import os

from paas.engine.lock import only_one
from paas.network.network import Network
from paas.paths import Paths
from paas.proxy.generations import stop_all
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
    descriptor = only_one(paths.run)
    stop_all(paths.run)
    if paths.bundles.is_dir():
        runtime = Runtime(settings, paths)
        runtime.prepare()
        for entry in list(paths.bundles.iterdir()):
            runtime.stop(entry.name, grace=0)  # its writable layer and log stay: they are data
    Network(settings).teardown()
    mounts.unmount_below(paths.run)
    cgroups.remove(settings.cgroup)
    os.close(descriptor)
    remove_tree(paths.run)
