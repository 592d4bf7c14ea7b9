"""A throw-away server: namespaces of its own for processes, mounts, network, host name and IPC on this host's kernel.

Its ports 80 and 2222 are free, nothing that happens in it shows outside, and `power_off` ends it as a power cut would:
every process and everything in the kernel is gone, `data_dir` is what the disk holds. Cgroups are the one thing shared
with the host; they have a name of their own and go with the power as well.
"""

from __future__ import annotations

import os
import pwd
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from paas.errors import SystemFailure
from paas.paths import PROJECT
from paas.runtime import cgroups
from paas.settings import Settings, load
from paas.system import run as system
from paas.system.files import remove_tree
from paas.system.run import Completed, Process
from tests.harness import web
from tests.harness.client import Client
from tests.harness.leftovers import leftovers, processes_in
from tests.harness.link import new_link
from tests.harness.spaces import oldest_cpu
from tests.harness.waiting import wait_until
from tests.harness.web import Response

DOMAIN = "paas.test"
_SPACES = ("pid", "net", "mount", "uts", "ipc")
_UID_BASE, _UIDS = 0x20000000, 64 * 65536
_DISKS = Path(os.environ.get("PAAS_TEST_DIR", "/var/tmp"))
"""Where machines have their data: a real file system, because overlayfs needs one that can hold its upper layers."""


class Machine:
    """Made with its power off. As a context manager: on inside the block, destroyed after it.

    `settings` are settings by name (`{"drain_timeout": "2"}`) in addition to those that keep it apart from the host;
    `disk` is a data directory to begin with a copy of.
    """

    def __init__(
        self, settings: Mapping[str, str] | None = None, *, disk: Path | None = None, place: Path = _DISKS
    ) -> None:
        self.token = secrets.token_hex(3)
        self.name = f"paas-test-{self.token}"
        self.disk = place / self.name
        self.project = PROJECT
        """The code that the next engine runs."""
        self.data_dir = self.disk / "data"
        self._run = Path("/run", self.name)  # short: unix sockets lie below it
        self.run_dir = self._run / "paas"
        self._link = new_link(self.token)
        self._extra = dict(settings or {})
        self._holder: Process | None = None
        self._init = 0
        self._engine: Process | None = None
        self._engine_pid = 0
        self.disk.mkdir(mode=0o711)
        self._run.mkdir(mode=0o711)
        if disk is not None:
            system.run(["cp", "--archive", "--reflink=auto", str(disk), str(self.data_dir)], timeout=300)
        self._forwarding_was_off = self._link.masquerade()

    def __enter__(self) -> Machine:
        self.boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.destroy()

    # What it is

    @property
    def address(self) -> str:
        """Where the host reaches it."""
        return str(self._link.inside)

    @property
    def host_address(self) -> str:
        """Where it reaches the host."""
        return str(self._link.outside)

    @property
    def environment(self) -> dict[str, str]:
        """What the engine and the `paas` command are started with."""
        settings = {
            "data_dir": str(self.data_dir),
            "run_dir": str(self.run_dir),
            "cgroup": self.name,
            "uid_base": str(_UID_BASE + _UIDS * self._link.number),
            "domain": DOMAIN,
            **self._extra,
        }
        return {"PAAS_SETTINGS": "/nonexistent", **{f"PAAS_{name.upper()}": text for name, text in settings.items()}}

    @property
    def settings(self) -> Settings:
        return load(environ=self.environment)

    # Power

    def boot(self) -> None:
        """Power on. No engine runs yet."""
        assert self._holder is None, "it is on already"
        # The death signal, so that a killed test run takes its machines with it.
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", *(f"--{space}" for space in _SPACES)]
        cpu = oldest_cpu()
        where = [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
        self._holder = system.start([*where, *argv, "--fork", "--kill-child", "--mount-proc", "catatonit", "-P"])
        self._init = _child(self._holder.pid)
        wait_until(lambda: _program(self._init) == "catatonit", "the machine's first process runs")
        self.run(["mount", "-t", "tmpfs", "-o", "mode=0711", "tmpfs", str(self._run)])
        self.run(["hostname", self.name])
        self._link.connect(self._init)

    def power_off(self) -> None:
        """Cut the power: all processes and kernel state are gone when this returns. The disk stays."""
        if self._holder is None:
            return
        with Path(f"/proc/{self._init}/ns/pid").open() as held:  # else another machine may be given its number
            os.kill(self._init, signal.SIGKILL)  # the kernel ends everything in the pid namespace before its init
            self._holder.wait(30)
            self._holder, self._init = None, 0
            if self._engine is not None:
                self._engine.wait(10)
                self._engine = None
            self._link.disconnect()
            namespace = os.fstat(held.fileno()).st_ino
            wait_until(lambda: not processes_in(namespace), "nothing of the machine runs")
        wait_until(self._no_cgroup, "the machine's cgroups are removed")

    def destroy(self) -> None:
        """Power off and remove everything. Raises AssertionError, after removing what it can, if something is left."""
        try:
            self.power_off()
        finally:
            self._link.unmasquerade(forwarding_was_off=self._forwarding_was_off)
            remove_tree(self._run)
            remove_tree(self.disk)
        wait_until(lambda: not leftovers(self.token), f"nothing is left of {self.name}: {leftovers(self.token)}", 5)

    # Commands in it

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        timeout: float | None = 60.0,
        check: bool = True,
    ) -> Completed:
        """Run a program inside, in `/`. Raises SystemFailure when it fails, unless told not to."""
        environment = {**self.environment, **(env or {})}
        return system.run(self._inside(argv, user), input=input, env=environment, timeout=timeout, check=check)

    def start(
        self,
        argv: Sequence[str],
        *,
        stdin: system.Descriptor | None = None,
        stdout: system.Descriptor | None = None,
        stderr: system.Descriptor | None = None,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Process:
        """Start a program inside; what is returned is outside and ends as the program does."""
        environment = {**self.environment, **(env or {})}
        return system.start(
            self._inside(argv, user), stdin=stdin, stdout=stdout, stderr=stderr, env=environment, pass_fds=pass_fds
        )

    def paas(self, *command: str, input: bytes | None = None, timeout: float = 60.0, check: bool = True) -> Completed:
        """`paas COMMAND` inside, as root."""
        return self.run([str(PROJECT / "scripts" / "paas"), *command], input=input, timeout=timeout, check=check)

    # The engine

    @property
    def engine_log(self) -> str:
        """What all engines of this machine have printed so far."""
        log = self.disk / "engine.log"
        return log.read_text(errors="replace") if log.exists() else ""

    @property
    def engine_pid(self) -> int:
        """As the host sees it; 0 while none runs."""
        return self._engine_pid if self._engine is not None else 0

    def engine_start(
        self,
        timeout: float = 30.0,
        *,
        faults: Path | None = None,
        notify: Path | None = None,
        kept: int | None = None,
    ) -> None:
        """Start an engine; returns when it answers. Raises AssertionError with its words when it ends instead.

        `faults` is the directory that paas/faults.py looks into. What systemd would give it: `notify`, the socket that
        it tells its state to, and `kept`, that of the SSH port.
        """
        assert self._engine is None, "an engine runs already"
        before = len(self.engine_log)
        argv, env, passed = [sys.executable, "-m", "paas", "serve"], {"PYTHONPATH": str(self.project)}, []
        if faults is not None:
            env["PAAS_FAULTS"] = str(faults)
        if notify is not None:
            env["NOTIFY_SOCKET"] = str(notify)
        if kept is not None:
            env |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "ssh"}
            argv, passed = ["bash", "-c", f'LISTEN_PID=$$ exec "$@" 3<&{kept}', "bash", *argv], [kept]
        with (self.disk / "engine.log").open("ab") as log:
            engine = self.start(argv, stdout=log, stderr=log, env=env, pass_fds=passed)
        self._engine = engine
        self._engine_pid = _child(engine.pid)

        def answers() -> bool:
            if engine.poll() is not None:
                self._engine = None
                raise AssertionError(f"the engine ended with status {engine.returncode}:\n{self.engine_log[before:]}")
            return self.paas("version", check=False).status == 0

        wait_until(answers, "the engine answers", timeout)

    def engine_stop(self) -> int:
        """Ask the engine to end (SIGTERM); returns its exit status. What it started goes on."""
        return self._end_engine(signal.SIGTERM)

    def engine_kill(self) -> None:
        """`kill -9`."""
        self._end_engine(signal.SIGKILL)

    def engine_died(self) -> None:
        """Wait until the engine has ended by itself."""
        assert self._engine is not None, "no engine runs"
        self._engine.wait(60)
        self._engine = None

    # From outside

    def client(self, name: str = "tester", *, admin: bool = False, known: bool = True) -> Client:
        """Someone with a key of their own, which the engine is told of unless `known` is false."""
        client = Client(self.disk / "clients" / name, self.address, self.settings.ssh_port, name)
        if known:
            self.paas("ssh-keys:add", *(["--admin"] if admin else []), name, input=client.public_key.encode())
        return client

    def get(self, host: str, path: str = "/", *, port: int | None = None, timeout: float = 10.0) -> Response:
        """Ask the machine for a page from outside; `host` without a dot is an app's name below its domain."""
        return web.request(self.address, port or self.settings.http_port, _hostname(host), path, timeout=timeout)

    def get_inside(self, host: str, path: str = "/", *, port: int | None = None) -> Response:
        """The same from a program on the machine. Raises SystemFailure when there is no answer."""
        url = f"http://127.0.0.1:{port or self.settings.http_port}{path}"
        curl = ["curl", "--silent", "--show-error", "--include", "--max-time", "10"]
        return web.parse(self.run([*curl, "--header", f"Host: {_hostname(host)}", url]).stdout)

    def _end_engine(self, number: signal.Signals) -> int:
        assert self._engine is not None, "no engine runs"
        os.kill(self._engine_pid, number)
        status = self._engine.wait(60)
        self._engine = None
        return status

    def _inside(self, argv: Sequence[str], user: str | None) -> list[str]:
        assert self._init, "the machine is off"
        account: list[str] = []
        if user is not None:
            entry = pwd.getpwnam(user)
            account = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]
        spaces = [f"--{space}" for space in _SPACES]
        return ["nsenter", "--target", str(self._init), *spaces, "--", *account, *argv]

    def _no_cgroup(self) -> bool:
        cgroups.remove(self.name)
        return not any(left.startswith("cgroup") for left in leftovers(self.token))


def _hostname(host: str) -> str:
    return host if "." in host else f"{host}.{DOMAIN}"


def _child(pid: int) -> int:
    """The one child of a process that forks once and waits."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return int(wait_until(lambda: children.read_text().split(), f"process {pid} has a child")[0])
    except (OSError, AssertionError) as error:
        raise SystemFailure("A test machine needs root and namespaces; unshare or nsenter ended at once") from error


def _program(pid: int) -> str:
    return Path(f"/proc/{pid}/exe").readlink().name
