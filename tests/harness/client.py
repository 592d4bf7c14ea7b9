"""A person with a key: `ssh paas@machine COMMAND` and `git push`, from the host, as any user would."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from paas.system.run import Completed, Process, run, start

_GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "A Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.com",
    "GIT_COMMITTER_NAME": "A Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.com",
}

Files = Mapping[str, bytes | str]


class Client:
    """Keeps its key, known hosts and repositories in `home`."""

    def __init__(self, home: Path, address: str, port: int, name: str = "tester") -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._home = home
        self._address = address
        self._port = port
        self._key = home / "id_ed25519"
        if not self._key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self._key)])

    @property
    def public_key(self) -> str:
        return self._key.with_suffix(".pub").read_text()

    @property
    def ssh_argv(self) -> list[str]:
        """Everything up to the options' end; the user's own configuration and agent have no influence."""
        options = {
            "IdentityFile": self._key,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "BatchMode": "yes",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": self._home / "known_hosts",
            "ConnectTimeout": 10,
            "LogLevel": "ERROR",
        }
        return ["ssh", "-F", "/dev/null", *(word for item in options.items() for word in ("-o", "{}={}".format(*item)))]

    def ssh(
        self, *command: str, input: bytes | None = None, timeout: float = 60.0, check: bool = True, tty: bool = False
    ) -> Completed:
        """Run one paas command over SSH, its words quoted. Raises SystemFailure when it fails, unless told not to."""
        return run(self.ssh_command(*command, tty=tty), input=input, timeout=timeout, check=check)

    def start(self, *command: str, output: int) -> Process:
        """Begin one, its words going to a descriptor."""
        return start(self.ssh_command(*command), stdout=output, stderr=output)

    def ssh_command(self, *command: str, tty: bool = False) -> list[str]:
        """The arguments with which `ssh` runs one paas command, its words quoted."""
        terminal = ["-tt"] if tty else []
        return [*self.ssh_argv, *terminal, "-p", str(self._port), f"paas@{self._address}", shlex.join(command)]

    def url(self, app: str) -> str:
        return f"ssh://paas@{self._address}:{self._port}/{app}"

    def repository(self, name: str, files: Files | None = None) -> Repository:
        """A new repository below `home`; with files, they are its first commit."""
        repository = Repository(self, self._home / "repositories" / name)
        if files is not None:
            repository.commit(files)
        return repository


class Repository:
    """A working tree with one branch, `master`."""

    def __init__(self, client: Client, path: Path) -> None:
        self._client = client
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=master")

    def git(self, *words: str, check: bool = True, timeout: float = 60.0, when: str = "") -> Completed:
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when} if when else {}
        return run(["git", *words], cwd=self.path, env={**self._environment, **dates}, check=check, timeout=timeout)

    @property
    def _environment(self) -> dict[str, str]:
        return {**_GIT, "GIT_SSH_COMMAND": shlex.join(self._client.ssh_argv), "HOME": str(self.path.parent)}

    def commit(self, files: Files, message: str = "Change", when: str = "") -> str:
        """Write files (a script, `#!`, becomes executable), commit everything (at a time), return the commit's id."""
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            file.write_bytes(data)
            file.chmod(0o755 if data.startswith(b"#!") else 0o644)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message, when=when)
        return self.head

    @property
    def head(self) -> str:
        return self.git("rev-parse", "HEAD").text.strip()

    def push(self, app: str, ref: str = "master", *words: str, check: bool = True, timeout: float = 300.0) -> Completed:
        """`git push` to an app; what the platform says is in `error`. Raises SystemFailure when it is refused."""
        return self.git("push", *words, self._client.url(app), f"HEAD:refs/heads/{ref}", check=check, timeout=timeout)

    def start_push(self, app: str, output: int) -> Process:
        """Begin to push, its words going to a descriptor."""
        argv = ["git", "push", self._client.url(app), "HEAD:refs/heads/master"]
        return start(argv, cwd=self.path, env=self._environment, stdout=output, stderr=output)
