"""A runtime with directories, a cgroup and uid ranges of its own, and one layer: busybox."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from paas.model import Mount
from paas.paths import Paths
from paas.runtime import cgroups
from paas.runtime.cgroups import Limits
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import Sandbox, SandboxPool
from paas.runtime.spec import Allowance, ContainerSpec, new_id
from paas.runtime.steps import Bench, Ended
from paas.settings import Settings
from paas.system import mounts
from paas.system import run as system

UID_BASE = 0x50000000
_PASSWD = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n"
_GROUP = "root:x:0:\nwww-data:x:33:\nstaff:x:50:www-data\n"


class Links:
    """Stands in for the network: remembers what is connected."""

    def __init__(self) -> None:
        self.connected: dict[str, IPv4Address] = {}

    def connect(self, netns: Path, link: str, address: IPv4Address) -> None:
        assert netns.exists()
        self.connected[link] = address

    def disconnect(self, link: str, address: IPv4Address) -> None:
        self.connected.pop(link, None)


class Host:
    def __init__(self, **settings: Any) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="paas-rt-", dir="/tmp"))
        self.top.chmod(0o711)
        run = self.top / "run"
        values = {"cgroup": f"paas-t{secrets.token_hex(4)}", "uid_base": UID_BASE, "ready_sandboxes": 1, **settings}
        self.settings = Settings(data_dir=self.top / "data", run_dir=run, **values)
        self.paths = Paths(self.settings.data_dir, run)
        _busybox(self.paths.layers / "1")
        self.links = Links()
        self.runtime = Runtime(self.settings, self.paths)
        self.runtime.prepare()
        self.pool = SandboxPool(self.settings, self.paths, self.links)
        self.pool.start()
        self.steps = self.runtime.steps(self.pool)

    # -- containers -----------------------------------------------------------------------------------------------

    def spec(self, *args: str, env: Mapping[str, str] | None = None, **fields: Any) -> ContainerSpec:
        fields = {"layers": (1,), "allowance": Allowance(memory=64 << 20), "pids": 50, **fields}
        id = new_id()
        return ContainerSpec(id=id, args=args, env={"PATH": "/bin", **(env or {})}, **fields)

    def boot(self, *args: str, stdio: tuple[int, int, int] | None = None, **fields: Any) -> str:
        spec = self.spec(*args, **fields)
        self.runtime.create(spec, self.pool.take(), stdio=stdio)
        self.runtime.start(spec.id)
        return spec.id

    def output(self, *args: str, **fields: Any) -> str:
        """What a container prints until its end, which must be a good one."""
        id = self.boot(*args, **fields)
        assert self.runtime.wait(id, timeout=10) == 0, self.log(id)
        return self.log(id)

    def log(self, id: str) -> str:
        lines = self.runtime.log_path(id).read_text().splitlines()
        return "".join(line.split(" ", 3)[3] + "\n" for line in lines)

    def upper(self, id: str) -> Path:
        return self.paths.containers / id / "data" / "upper"

    def step(
        self,
        *args: str,
        memory: int = 64 << 20,
        stopped: Callable[[], bool] = lambda: False,
        bench: Bench | None = None,
        **fields: Any,
    ) -> tuple[Ended, str, Path]:
        """A build step: (how it ended, its output, the layer it made). On a bench of its own unless one is given."""
        data = self.top / f"step-{secrets.token_hex(4)}"
        for name in ("upper", "work"):
            (data / name).mkdir(parents=True)
        with tempfile.TemporaryFile() as file, ExitStack() as undo:
            if bench is None:
                group = undo.enter_context(self.steps.build(Limits(memory=memory, pids=50)))
                bench = undo.enter_context(group.bench())
            spec = self.spec(*args, no_new_privileges=False, **fields)
            ended = bench.run(spec, data, file.fileno(), stopped)
            file.seek(0)
            return ended, file.read().decode(), data / "upper"

    def volume(self, name: str, target: str, *, read_only: bool = False) -> Mount:
        source = self.top / name
        source.mkdir(exist_ok=True)
        return Mount(source, target, read_only)

    # -- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self.pool.close()
        for id in self.runtime.ids():
            self.runtime.remove(id)
        mounts.unmount_below(self.top)
        cgroups.remove(self.settings.cgroup)
        shutil.rmtree(self.top, ignore_errors=True)

    def leftovers(self) -> list[str]:
        """Whatever still bears our name; conmon may take a moment to go."""
        eventually(lambda: not self.processes())
        found = [f"process {pid}" for pid in self.processes()]
        found += [f"mount {point}" for point in mounts.mount_points(self.top)]
        found += [f"cgroup {directory}" for directory in self.cgroups()]
        return found + ([str(self.top)] if self.top.exists() else [])

    def processes(self) -> list[int]:
        """Processes whose arguments name our directory."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(self.top) in words:
                found.append(int(entry.name))
        return found

    def zombies(self) -> list[int]:
        """Children of this process that have ended and were not waited for."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                except OSError:
                    continue
                if state == "Z" and int(parent) == os.getpid():
                    found.append(int(entry.name))
        return found

    def cgroups(self) -> list[Path]:
        """Directories of our cgroup, in all hierarchies; a symlink names the same one twice."""
        trees = [cgroups.ROOT, *(tree for tree in cgroups.ROOT.iterdir() if tree.is_dir() and not tree.is_symlink())]
        return [tree / self.settings.cgroup for tree in trees if (tree / self.settings.cgroup).exists()]

    def container_cgroups(self) -> list[Path]:
        return [path for top in self.cgroups() for path in top.iterdir() if path.is_dir()]


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    pause = 0.002
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return True


def sandbox_of(host: Host, id: str) -> Sandbox:
    """The sandbox a container was put into, found by the address in its hosts file."""
    line = (host.paths.bundles / id / "hosts").read_text().splitlines()[-1]
    found = host.pool.at(IPv4Address(line.split("\t")[0]))
    assert found is not None
    return found


def _busybox(root: Path) -> None:
    for name in ("bin", "etc", "root", "tmp", "var/www", "old"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in system.run(["/bin/busybox", "--list"]).text.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    (root / "old/file").write_text("below")
    os.chown(root / "var/www", 33, 33)
