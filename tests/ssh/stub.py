"""An engine of a few commands behind the real socket, and the real front door in front of it."""

from __future__ import annotations

import hashlib
import os
import pwd
import queue
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paas import wire
from paas.apps.keys import fingerprint
from paas.engine.doorchannel import DoorChannel
from paas.engine.hostkeys import ensure_host_keys
from paas.engine.listening import ssh_listener
from paas.engine.logins import Logins
from paas.engine.server import Server, Session
from paas.errors import PaasError
from paas.model import Source
from paas.names import AppName, KeyName
from paas.paths import PROJECT
from paas.settings import Settings
from paas.source import repos
from paas.source.tree import GitTree
from paas.state.people import SshKey
from paas.system import run as system

USER = "paas"


class StubEngine:
    """Commands: echo, cat, sink, flood, wait, size, shell, die. Every push is read through its quarantine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys: dict[str, tuple[str, bool]] = {}
        self.requests: list[wire.Frame] = []
        self.identified: list[str] = []
        """Keys that it was asked about."""
        self.who: list[tuple[str, str]] = []
        """Name and address of each who asked over SSH."""
        self.hung_up = threading.Event()
        self.waiting = threading.Event()
        self.pushed: list[dict[str, bytes]] = []
        self.refuse: str | None = None
        self.hold_push = False
        self.limit = 64 << 20
        self.logins = Logins(self.identify, 15.0)

    def identify(self, key: str) -> SshKey | None:
        """Who has a key, as `TYPE BASE64`."""
        self.identified.append(key)
        name, admin = self.keys.get(key, ("", False))
        return SshKey(KeyName(name), fingerprint(key.encode()), key, admin) if name else None

    def repo(self, app: str) -> Path:
        return self.root / "data/repos" / f"{app}.git"

    def handle(self, session: Session) -> None:
        request = session.request
        self.requests.append(request)
        match request["kind"]:
            case "receive":
                app = str(request["app"])
                who = self.logins.of(request["token"])
                self.who.append((who.name, who.address))
                if app == "missing":
                    session.finish({"exit": 20, "error": "App missing does not exist", "hint": "apps:list shows them."})
                    return
                repos.init_bare(self.repo(app), USER)
                found = {"exit": 0, "app": app, "repo": str(self.repo(app)), "limit": self.limit}
                session.finish({**found, "ticket": self.logins.ticket(request["token"], app)})
            case "push":
                session.finish({"exit": self._push(session)})
            case "command":
                if session.uid != 0:
                    who = self.logins.of(request["token"])
                    self.who.append((who.name, who.address))
                session.finish({"exit": self._command(session)})

    def _push(self, session: Session) -> int:
        request, (stdout, stderr) = session.request, session.descriptors
        self.logins.of_ticket(request["ticket"], request["app"])
        os.write(stdout, b"-----> Building\n")
        if self.hold_push:
            self.waiting.set()
            if session.hung_up.wait(20):
                self.hung_up.set()
            return 130
        if self.refuse:
            os.write(stderr, f" !     {self.refuse}\n".encode())
            return 1
        quarantine = Path(request["quarantine"]) if request["quarantine"] else None
        for _, new, _ in request["updates"]:
            source = Source(AppName(request["app"]), Path(request["repo"]), new, quarantine)
            try:
                with GitTree(source, USER) as tree:
                    files = [entry for entry in tree.walk(tree.root) if entry.kind == "file"]
                    self.pushed.append({entry.path: tree.read(entry, 1 << 20) for entry in files})
            except PaasError as error:
                os.write(stderr, f" !     {error}\n".encode())
                return 1
        os.write(stdout, b"=====> Application deployed\n")
        return 0

    def _command(self, session: Session) -> int:
        words, (stdin, stdout, stderr) = session.request["argv"], session.descriptors
        match words:
            case ["echo", *rest]:
                os.write(stdout, (" ".join(rest) + "\n").encode("utf-8", "surrogateescape"))
                os.write(stderr, b"to stderr\n")
                return 7
            case ["cat"]:
                while data := os.read(stdin, 65536):
                    _write(stdout, data)
                return 0
            case ["sink"]:
                count, digest = 0, hashlib.sha256()
                while data := os.read(stdin, 65536):
                    count += len(data)
                    digest.update(data)
                _write(stdout, f"{count} {digest.hexdigest()}\n".encode())
                return 0
            case ["flood", size]:
                block, left = bytes(65536), int(size)
                try:
                    while left:
                        left -= os.write(stdout, block[:left])
                except OSError:
                    self.hung_up.set()
                    return 1
                return 0
            case ["wait"]:
                os.write(stdout, b"waiting\n")
                self.waiting.set()
                if session.hung_up.wait(20):
                    self.hung_up.set()
                return 130
            case ["size"]:
                sizes: queue.SimpleQueue[tuple[int, int]] = queue.SimpleQueue()
                session.on_resize(lambda rows, columns: sizes.put((rows, columns)))
                os.write(stdout, f"{session.request['rows']} {session.request['columns']}\n".encode())
                self.waiting.set()
                os.write(stdout, f"{sizes.get(timeout=10)} {os.get_terminal_size(stdout)}\n".encode())
                return 0
            case ["shell"]:
                return _shell(session)
            case ["die"]:
                session.connection.shutdown(socket.SHUT_RDWR)
                return 0
            case ["help"]:
                os.write(stdout, b"Usage\n")
                return 0
        os.write(stderr, f" !     {words[0]} is not a command\n".encode("utf-8", "backslashreplace"))
        return 2


def _shell(session: Session) -> int:
    master, slave = os.openpty()
    process = system.start(
        ["setsid", "--ctty", "sh"], stdin=slave, stdout=slave, stderr=slave, env={"PS1": "inner> "}, new_session=False
    )
    os.close(slave)
    session.attach("pty", master)
    os.close(master)
    try:
        return process.wait(20)
    except system.TimeoutExpired:
        process.kill()
        return process.wait()


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Place:
    """The running pair, and how to reach it with OpenSSH."""

    def __init__(self, root: Path, engine: StubEngine, settings: Settings, pid: int) -> None:
        """`pid` is the front door's."""
        self.root = root
        self.engine = engine
        self.settings = settings
        self.pid = pid
        self.key = self.new_key("ann")
        self.engine.keys[self.public(self.key)] = ("ann", False)

    def new_key(self, name: str, kind: str = "ed25519") -> Path:
        path = self.root / name
        system.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "test", "-f", str(path)])
        return path

    @staticmethod
    def public(key: Path) -> str:
        return " ".join(key.with_suffix(".pub").read_text().split()[:2])

    def options(self, key: Path | None = None) -> list[str]:
        values = {
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ConnectTimeout": "10",
            "Port": str(self.settings.ssh_port),
        }
        words = ["-F", "/dev/null", "-i", str(key or self.key)]
        for name, value in values.items():
            words += ["-o", f"{name}={value}"]
        return words

    def argv(self, *words: str, user: str = USER, key: Path | None = None, options: tuple[str, ...] = ()) -> list[str]:
        return ["ssh", *self.options(key), *options, f"{user}@127.0.0.1", *words]

    def ssh(
        self,
        *words: str,
        user: str = USER,
        key: Path | None = None,
        options: tuple[str, ...] = (),
        input: bytes | None = None,
    ) -> system.Completed:
        return system.run(self.argv(*words, user=user, key=key, options=options), input=input, check=False)

    def git_env(self) -> dict[str, str]:
        identity = {"NAME": "Ann", "EMAIL": "ann@example.com", "DATE": "2024-01-01T00:00:00Z"}
        names = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in identity.items()}
        return {
            **names,
            "GIT_SSH_COMMAND": " ".join(["ssh", *self.options()]),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def git(self, *words: str, cwd: Path, check: bool = True) -> system.Completed:
        return system.run(["git", *words], cwd=cwd, env=self.git_env(), check=check)

    def clone_to_push(self, name: str, files: dict[str, str]) -> Path:
        work = self.root / f"work-{name}"
        work.mkdir()
        self.git("init", "-q", "-b", "master", cwd=work)
        for path, text in files.items():
            file = work / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("add", "-A", cwd=work)
        self.git("commit", "-q", "-m", "First", cwd=work)
        self.git("remote", "add", "paas", f"{USER}@127.0.0.1:{name}", cwd=work)
        return work


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def front_door(**limits: int | str) -> Iterator[Place]:
    """`limits`: settings of the front door by name, in place of their defaults."""
    root = Path(tempfile.mkdtemp(prefix="paas-ssh-", dir="/tmp"))
    root.chmod(0o755)
    account = pwd.getpwnam(USER)
    owner = (account.pw_uid, account.pw_gid)
    places: dict[str, Any] = {"data_dir": root / "data", "run_dir": root / "run", "user": USER, "ssh_port": free_port()}
    settings = Settings(**{**places, "ssh_address": "127.0.0.1", **limits})
    for directory in (settings.data_dir, settings.run_dir):
        directory.mkdir(mode=0o755)
    keys = ensure_host_keys(settings.data_dir / "ssh")
    engine = StubEngine(root)
    server = Server(settings.socket, owner[1], engine.handle)
    server.start()
    names = ("data_dir", "run_dir", *(name for name in Settings.__slots__ if name.startswith("ssh_")))
    env = {f"PAAS_{name.upper()}": str(getattr(settings, name)) for name in names}
    ours, theirs = socket.socketpair()
    process = system.start(
        [sys.executable, "-m", "paas", "ssh"],
        stdin=theirs.fileno(),
        stdout=system.PIPE,
        stderr=2,
        env={**env, "PAAS_SETTINGS": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=PROJECT,
        user=USER,
    )
    theirs.close()
    listener = ssh_listener(settings, {})
    channel = DoorChannel(ours, keys, engine.logins)
    threading.Thread(target=channel.serve, args=(listener,), name="front door", daemon=True).start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield Place(root, engine, settings, process.pid)
    finally:
        listener.close()
        ours.shutdown(socket.SHUT_RDWR)
        try:
            process.wait(10)
        except system.TimeoutExpired:
            process.kill()
            process.wait()
        ours.close()
        server.close()
        shutil.rmtree(root)


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
