"""Debian's podman as a peer with a network, in namespaces of its own that last: its containers outlive a command."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from types import TracebackType

from paas.system import run as system
from paas.system.run import Completed
from tests.harness.waiting import wait_until

_LEGACY = Path("/usr/sbin/xtables-legacy-multi")
_PLUGINS = Path("/usr/lib/cni")
_SPACES = ("--mount", "--net", "--pid")
_SETUP = """
umount /sys/fs/cgroup/unified 2>/dev/null  # crun refuses a tree of both versions
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/lib && ip link set lo up && exec catatonit -P
"""
_CONTAINERS = """
[containers]
default_ulimits = []
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
[network]
network_backend = "{backend}"
cni_plugin_dirs = ["{plugins}"]
network_config_dir = "{top}/networks"
"""


class Podman:
    """A context manager; all of it is gone after the block. `store` is the directory that its images lie below.

    This is the fastest arrangement there is here: crun, cgroupfs, no event log, and CNI with iptables-legacy where
    they are installed (`network` says so), else Debian's default.
    """

    def __init__(self, store: Path) -> None:
        self._top = Path(tempfile.mkdtemp(prefix="paas-podman-", dir=store))
        fast = _LEGACY.exists() and (_PLUGINS / "bridge").exists()
        self.network = "CNI and iptables-legacy" if fast else "netavark"
        backend = "cni" if fast else "netavark"
        for name in ("bin", "networks", "tmp"):
            (self._top / name).mkdir()
        if fast:
            for name in ("iptables", "iptables-save", "iptables-restore", "ip6tables"):
                (self._top / "bin" / name).symlink_to(_LEGACY)
        text = _CONTAINERS.format(backend=backend, plugins=_PLUGINS, top=self._top)
        (self._top / "containers.conf").write_text(text)
        (self._top / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{self._top}/store"\nrunroot = "/run/store"\n'
        )
        self._holder: system.Process | None = None
        self._init = 0

    @staticmethod
    def is_installed() -> bool:
        return shutil.which("podman") is not None and shutil.which("crun") is not None

    def __enter__(self) -> Podman:
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", *_SPACES, "--propagation", "private"]
        self._holder = system.start([*argv, "--fork", "--kill-child", "--mount-proc", "sh", "-c", _SETUP])
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self._init = int(wait_until(lambda: children.read_text().split(), "podman's namespaces are there")[0])
        program = Path(f"/proc/{self._init}/exe")
        wait_until(lambda: program.readlink().name == "catatonit", "podman's namespaces are ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run("podman", "rm", "--all", "--force", "--time", "0", check=False)
        os.kill(self._init, signal.SIGKILL)
        if self._holder is not None:
            self._holder.wait(30)
        with contextlib.suppress(OSError):
            shutil.rmtree(self._top)

    def run(self, *argv: str, input: bytes | None = None, check: bool = True, timeout: float = 600.0) -> Completed:
        """Run a tool in there. Raises SystemFailure with its words when it fails, unless told not to."""
        return system.run(self.inside(argv), input=input, env=self._environment(), check=check, timeout=timeout)

    def start(self, *argv: str) -> system.Process:
        """What is started ends with the namespaces."""
        return system.start(self.inside(argv), env=self._environment())

    def inside(self, argv: tuple[str, ...]) -> list[str]:
        return ["nsenter", "--target", str(self._init), *_SPACES, "--", *argv]

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self._top}/bin:{system.BASE_ENV['PATH']}",
            "CONTAINERS_STORAGE_CONF": str(self._top / "storage.conf"),
            "CONTAINERS_CONF": str(self._top / "containers.conf"),
            "TMPDIR": str(self._top / "tmp"),
        }
