"""Debian's buildah, podman and skopeo, as peers to compare with: a store of their own, and nothing shows outside."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from paas.system.run import Completed, run

_SPACES = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-c"]
_SETUP = """
umount /sys/fs/cgroup/unified 2>/dev/null  # crun refuses a tree of both versions
mount -t tmpfs tmpfs /run
exec "$@"
"""
_CONTAINERS = """
[containers]
default_ulimits = []
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "crun"
"""


class Peers:
    """A context manager; the store is gone after the block. There is no network.

    The store is in memory where that can hold all attributes of files, because the tools sync it often.
    """

    def __init__(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="paas-peers-", dir=_place()))
        self.store = self.top / "store"
        storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{self.store}"\nrunroot = "{self.top}/run"\n'
        (self.top / "storage.conf").write_text(storage)
        (self.top / "containers.conf").write_text(_CONTAINERS)
        (self.top / "tmp").mkdir()

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.top)

    def run(
        self,
        *argv: str,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 60.0,
    ) -> Completed:
        """Run a tool. Raises SystemFailure with its words when it fails, unless told not to."""
        own = {
            "CONTAINERS_STORAGE_CONF": str(self.top / "storage.conf"),
            "CONTAINERS_CONF": str(self.top / "containers.conf"),
            "TMPDIR": str(self.top / "tmp"),
            **(env or {}),
        }
        return run([*_SPACES, _SETUP, "sh", *argv], input=input, env=own, check=check, timeout=timeout)


def _place() -> str:
    """tmpfs knows `user.*` xattrs since Linux 6.6."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        try:
            os.setxattr(file.name, "user.probe", b"")
        except OSError:
            return "/var/tmp"
    return "/dev/shm"
