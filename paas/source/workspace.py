"""A place where something is fetched or unpacked and becomes a commit: a repository beside the app's own.

The app's repository gets the objects only when they are wanted, and never sees what came of an attempt that failed.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paas.errors import Cancelled, InvalidInput, SystemFailure
from paas.faults import reached
from paas.runtime.sandbox import SandboxPool
from paas.source import repos
from paas.source.accounts import Accounts, netrc_line
from paas.source.remotes import Login, Remote
from paas.source.running import ProgramFailed, Told, end
from paas.system import run as system
from paas.system.accounts import account
from paas.system.files import ensure_directory, remove_tree, sync_directory, write_atomic
from paas.system.processes import readable

_NAMES = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
"""The host's name servers may listen where a container does not get."""
_LONGEST = 3600.0
_OUTPUT = 16 << 20
_SETTINGS = {
    "fastimport.unpackLimit": "0",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "transfer.fsckObjects": "true",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Whose work it is. Not `trusted`: with the network of a container, so that the services of this machine are out
    of reach, and without the machine's logins and keys."""

    trusted: bool
    cancelled: Callable[[], bool]
    proxies: Mapping[str, str]
    limit: int
    """Bytes of the largest file that a program may write."""


class Workspaces:
    def __init__(self, scratch: Path, sandboxes: SandboxPool, resolv_conf: str, accounts: Accounts, user: str) -> None:
        self._scratch = scratch
        self._sandboxes = sandboxes
        self._resolv_conf = resolv_conf
        self._accounts = accounts
        self._user = user

    @contextmanager
    def open(self, repo: Path, place: Place) -> Iterator[Workspace]:
        """A workspace beside an app's repository, whose objects it can use."""
        owner = account(self._user)
        directory = ensure_directory(self._scratch, mode=0o711) / f"source-{secrets.token_hex(8)}"
        sandbox = None
        try:
            ensure_directory(directory, mode=0o750, owner=(0, owner[1]))
            ensure_directory(directory / "home", mode=0o700, owner=owner)
            made = directory / "repo.git"
            repos.init_bare(made, self._user)
            write_atomic(made / "objects/info/alternates", f"{repo}/objects\n", owner=owner)
            prefix: list[str] = []
            if not place.trusted:
                sandbox = self._sandboxes.take()
                names = directory / "resolv.conf"
                names.write_text(self._resolv_conf)
                prefix = [
                    *("nsenter", f"--net={sandbox.netns}", "--"),
                    *("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", _NAMES, "sh", str(names)),
                    *("setpriv", f"--reuid={owner[0]}", f"--regid={owner[1]}", "--clear-groups"),
                    *("--no-new-privs", "--bounding-set=-all", "--"),
                ]
            yield Workspace(directory, repo, place, self._accounts, self._user, prefix)
        finally:
            if sandbox is not None:
                self._sandboxes.release(sandbox)
            remove_tree(directory)


class Workspace:
    """`repo` is its own repository, `target` the app's."""

    def __init__(
        self, directory: Path, target: Path, place: Place, accounts: Accounts, user: str, prefix: list[str]
    ) -> None:
        self.repo = directory / "repo.git"
        self.target = target
        self.place = place
        self._directory = directory
        self._accounts = accounts
        self._user = user
        self._prefix = prefix

    @property
    def objects(self) -> Path:
        """Where its objects lie: what a build is given as their quarantine."""
        return self.repo / "objects"

    def check(self) -> None:
        """Raises Cancelled once the caller has gone, or somebody has cancelled it."""
        if self.place.cancelled():
            raise Cancelled("Cancelled; nothing was changed")

    def file(self, name: str) -> Path:
        """An empty file that programs here may write."""
        path = self._directory / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchown(descriptor, *account(self._user))
        finally:
            os.close(descriptor)
        return path

    # -- programs -------------------------------------------------------------------------------------------------

    def git(self, *words: str, remote: Remote | None = None, say: Callable[[str], None] | None = None) -> str:
        """git in this repository; returns what it printed. Raises ProgramFailed, Cancelled."""
        return self.run(["git", *words], env=self.git_env(remote), say=say).decode("utf-8", "replace")

    def git_env(self, remote: Remote | None = None) -> dict[str, str]:
        env = repos.git_environment(_SETTINGS)
        env |= {"GIT_DIR": str(self.repo), "GIT_ALLOW_PROTOCOL": "https:http:git:ssh:file"}
        if remote is not None:
            self._log_in(remote)
            env |= {"GIT_SSH_COMMAND": shlex.join(self._ssh()), **self.place.proxies}
        return env

    def curl(self, remote: Remote, output: Path, limit: int, say: Callable[[str], None]) -> None:
        """Fetch a file of at most `limit` bytes. The address comes over the input, where no other user sees it."""
        self._log_in(remote)
        text = remote.address.replace("\\", "\\\\").replace('"', '\\"')
        argv = [
            *("curl", "--fail", "--show-error", "--location", "--max-redirs", "10", "--globoff"),
            *("--proto", "=http,https", "--proto-redir", "=http,https"),
            *("--connect-timeout", "20", "--speed-limit", "1", "--speed-time", "60", "--retry", "2"),
            *("--netrc-optional", "--silent", "--max-filesize", str(limit), "--output", str(output), "--config", "-"),
        ]
        with tempfile.TemporaryFile() as config:
            config.write(f'url = "{text}"\n'.encode())
            config.seek(0)
            self.run(argv, env=dict(self.place.proxies), stdin=config, say=say, watch=output)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdin: IO[bytes] | None = None,
        say: Callable[[str], None] | None = None,
        watch: Path | None = None,
    ) -> bytes:
        """Run a program as the unprivileged account, to its end; returns its output.

        `say` is told what it prints on its error stream, or how much of the file `watch` there is; not too often.
        """
        self.check()
        with tempfile.TemporaryFile() as output:
            process = self.start(argv, env=env, stdin=stdin, stdout=output)
            told = Told(say)
            deadline = time.monotonic() + _LONGEST
            assert process.stderr is not None
            try:
                while True:
                    if readable(process.stderr.fileno(), 0.2):
                        piece = os.read(process.stderr.fileno(), 65536)
                        if not piece:
                            break
                        told.take(piece)
                    elif watch is not None:
                        told.size(watch)
                    self.check()
                    if time.monotonic() > deadline:
                        raise SystemFailure(f"{argv[0]} did not finish within {_LONGEST:.0f} seconds")
            except BaseException:
                end(process, at_once=True)
                raise
            end(process)
            if process.returncode != 0:
                said = told.last()
                if process.returncode == -signal.SIGXFSZ or f"signal {signal.SIGXFSZ:d}" in said:
                    raise InvalidInput(f"What comes is larger than {self.place.limit} bytes")
                raise ProgramFailed(said or f"{argv[0]} ended with status {process.returncode}", process.returncode)
            output.seek(0)
            return output.read(_OUTPUT)

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], stdin: system.Descriptor | None, stdout: IO[bytes] | None
    ) -> system.Process:
        """Start a program; its errors go to a pipe. Ended by `end`."""
        alone = ("setpriv", "--pdeathsig", "KILL", "--no-new-privs", "--")  # an engine that is killed leaves no fetch
        command = [*self._prefix, *alone, "prlimit", f"--fsize={self.place.limit}", "--core=0", "--", *argv]
        return system.start(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=system.PIPE,
            env={**env, "HOME": str(self._directory / "home")},
            cwd=self._directory,
            user=None if self._prefix else self._user,
            new_session=True,
        )

    def _log_in(self, remote: Remote) -> None:
        """Leave the one login that this server needs where git and curl look for it, not in an argument."""
        login = remote.login
        if login is None and self.place.trusted:
            login = self._accounts.logins().get(remote.host)
        if login is None or remote.kind != "http":
            return
        line = netrc_line(remote.host, Login(login.user or "git", login.password or "x"))
        write_atomic(self._directory / "home/.netrc", line, mode=0o600, owner=account(self._user))

    def _ssh(self) -> list[str]:
        key, hosts = self._accounts.key, self._accounts.known_hosts
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "20",
            "IdentitiesOnly": "yes",
            "IdentityFile": str(key) if self.place.trusted and key.exists() else "none",
            "ServerAliveInterval": "20",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": str(hosts) if self.place.trusted else "none",
        }
        return ["ssh", "-F", "/dev/null", *(word for item in options.items() for word in ("-o", "{}={}".format(*item)))]

    # -- the app's repository -------------------------------------------------------------------------------------

    def may_become(self, ref: str, commit: str) -> None:
        """Raises InvalidInput when the app's repository could not have this ref: asked before anything is deployed."""
        objects = {"GIT_OBJECT_DIRECTORY": str(self.objects), **self._alternates()}
        words = f"start\nupdate {ref} {commit}\nprepare\nabort\n"
        done = self._in_target("update-ref", "--stdin", env=objects, input=words.encode())
        if done.status != 0:
            why = done.error.removeprefix("fatal: ").replace("\n", " ")
            raise InvalidInput(f"{ref} cannot be set in the app's repository: {why}", hint="Try git:unlock.")

    def settle(self) -> None:
        """Before `adopt`: objects that came one by one become a pack."""
        if any(len(path.name) == 2 for path in self.objects.iterdir()):
            self.git("repack", "-d", "-l", "-q")

    def adopt(self) -> None:
        """Give the app's repository the objects: each pack is there whole or not at all."""
        packs = sorted(path for path in (self.objects / "pack").iterdir() if path.suffix in (".pack", ".rev", ".idx"))
        into = str(self.target / "objects/pack")
        for last in (False, True):  # git looks for the index first
            names = [str(path) for path in packs if (path.suffix == ".idx") == last]
            if names:
                system.run(["mv", "--no-clobber", "--target-directory", into, "--", *names], user=self._user)
        sync_directory(Path(into))
        reached("sync:adopted")

    def set_ref(self, ref: str, commit: str) -> None:
        """After `adopt`."""
        done = self._in_target("update-ref", ref, commit)
        if done.status != 0:
            raise system.failure(done)
        reached("sync:ref-set")

    def tree_of(self, commit: str) -> str | None:
        """The object id of a commit's tree; None where there is no such commit."""
        env = {"GIT_OBJECT_DIRECTORY": str(self.objects), **self._alternates()}
        done = self._in_target("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}", env=env)
        return done.text.strip() if done.status == 0 else None

    def _alternates(self) -> dict[str, str]:
        return {"GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.target / "objects")}

    def _in_target(
        self, *words: str, env: Mapping[str, str] | None = None, input: bytes | None = None
    ) -> system.Completed:
        argv = ["git", "--git-dir", str(self.target), "-c", "core.hooksPath=/dev/null", *words]
        return system.run(argv, env={**repos.GIT_ENV, **(env or {})}, user=self._user, input=input, check=False)
