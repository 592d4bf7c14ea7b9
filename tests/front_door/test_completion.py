"""Completion as it is typed: interactive shells on a terminal, with the tab key."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from paas.paths import PROJECT
from tests.machine import Machine

APP = "typed-here"
_HOME, _END = b"\x01", b"\x05"
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], ""),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -u -D; "),
}


@pytest.fixture(scope="module")
def machine_with_app(machine: Machine) -> Iterator[Machine]:
    machine.paas("apps:create", APP)
    yield machine
    machine.paas("apps:destroy", APP, "--force")


class Typist:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = 0

    def send(self, keys: bytes) -> None:
        os.write(self._descriptor, keys)

    def after(self, marker: str, seconds: float = 30.0) -> str:
        """The line of output that begins with a marker."""
        seen = b""
        deadline = time.monotonic() + seconds
        start = f"\n{marker}".encode()
        while start not in seen or b"\n" not in seen.partition(start)[2]:
            assert select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))[0], seen
            seen += os.read(self._descriptor, 65536)
        return seen.partition(start)[2].partition(b"\n")[0].decode()

    def completed(self, keys: str) -> list[str]:
        """The words that the shell has on its line after these keys."""
        self._turn += 1
        marker = f"<{self._turn}>"
        self.send(keys.encode() + _HOME + f"printf '[%s]' $'\\n{marker}' ".encode() + _END + b"; echo\r")
        return [word for word in self.after(f"{marker}]").strip("\r[]").split("][")]


@contextmanager
def typist(machine: Machine, shell: str, options: str = "", before: str = "") -> Iterator[Typist]:
    """A shell with completion, once it listens; `before` is typed first, `options` are those of `completion`."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    argv, setup = SHELLS[shell]
    outer, inner = pty.openpty()
    path = f"{PROJECT}/scripts:{os.environ['PATH']}"
    environment = {"PATH": path, "TERM": "xterm", "HOME": str(machine.disk), "EDITOR": "nano", "PS1": "$ "}
    process = machine.start(["setsid", "--ctty", *argv], stdin=inner, stdout=inner, stderr=inner, env=environment)
    os.close(inner)
    try:
        made = Typist(outer)
        made.send(
            f"{before}{setup}source <(paas completion {shell} {options}); printf '\\n%s\\n' 're''ady:'\r".encode()
        )
        made.after("ready:")
        yield made
        made.send(b"exit\r")
    finally:
        os.close(outer)  # its terminal is gone: it hangs up
        process.wait(20)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_the_tab_key_writes(machine_with_app: Machine, shell: str) -> None:
    with typist(machine_with_app, shell) as keys:
        assert keys.completed("paas apps:crea\t") == ["paas", "apps:create"], "past the colon"
        assert keys.completed("paas config:s\te\t") == ["paas", "config:set"], "on from what several have"
        assert keys.completed("paas apps:repo\t typed\t") == ["paas", "apps:report", APP]
        assert keys.completed("paas apps:report typed\t --form\t js\t") == [
            "paas",
            "apps:report",
            APP,
            "--format",
            "json",
        ]
        assert keys.completed("paas --app typed\t apps:exi\t") == ["paas", "--app", APP, "apps:exists"]
        assert keys.completed(f"paas git:set {APP} deploy-b\t main") == [
            "paas",
            "git:set",
            APP,
            "deploy-branch",
            "main",
        ]
        assert keys.completed("FOO=1 paas apps:exists typed\t")[-1] == APP, "behind a variable"
        keys.send(b"true; paas apps:exists typed\t && printf '\\nok:%s\\n' yes\r")
        assert keys.after("ok:").strip() == "yes", "not the first command of the line"
        assert keys.completed("paas config:set typed\t 'A=b c' --no-r\t") == [
            "paas",
            "config:set",
            APP,
            "A=b c",
            "--no-restart",
        ]
        assert keys.completed("paas nothing:at-al\tx") == ["paas", "nothing:at-alx"]


@pytest.mark.parametrize("shell", SHELLS)
def test_over_ssh(machine_with_app: Machine, shell: str) -> None:
    client = machine_with_app.client(f"typing-{shell}")
    real = shlex.join(
        [*client.ssh_argv, "-p", str(machine_with_app.settings.ssh_port), f"paas@{machine_with_app.address}"]
    )
    ssh = f'ssh() {{ while [[ $1 == -o ]]; do shift 2; done; [[ $1 == my-host ]] && shift && command {real} "$@"; }}; '
    with typist(machine_with_app, shell, "--ssh my-host --name far", ssh) as keys:
        assert keys.completed("far apps:crea\t") == ["far", "apps:create"]
        assert keys.completed("far config:set typed\t 'A=b c' --no-r\t")[2:] == [APP, "A=b c", "--no-restart"]
