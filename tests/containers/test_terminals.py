"""Containers with a terminal: through ssh and on the host, left and joined again."""

from __future__ import annotations

import select
import shlex
from contextlib import AbstractContextManager

import pytest

from paas.detaching import DetachKeys
from paas.paths import PROJECT
from tests.containers.conftest import Paas, status
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine
from tests.ssh.test_terminal import Screen, screen

DETACH = b"\x10\x11"


@pytest.fixture(params=["host", "ssh"])
def door(request: pytest.FixtureRequest, machine: Machine, keeper: Client) -> str:
    return str(request.param)


def terminal(machine: Machine, keeper: Client, door: str, *words: str) -> AbstractContextManager[Screen]:
    """`paas WORDS` in a terminal of 30 lines and 90 columns."""
    if door == "host":
        env = [f"{key}={value}" for key, value in machine.environment.items()]
        paas = str(PROJECT / "scripts" / "paas")
        return screen(machine._inside(["env", *env, "TERM=vt100", paas, *words], None))
    options = ["-tt", "-p", str(machine.settings.ssh_port), f"paas@{machine.address}"]
    return screen([*keeper.ssh_argv, *options, shlex.join(words)])


def press_return(it: Screen) -> None:
    """Until the shell that was joined answers: what is typed before that is nobody's."""

    def answered() -> bool:
        it.type(b"\r")
        return bool(select.select([it.master], [], [], 0.3)[0]) and b"/ # " in it.read()

    wait_until(answered, "the shell answers")


def test_a_shell(paas: Paas, machine: Machine, keeper: Client, door: str) -> None:
    with terminal(machine, keeper, door, "run", "-it", "--rm", "--name", "shell", "tiny:1", "sh") as it:
        it.until(b"/ # ")
        it.type(b"echo $((40 + 2)) $TERM; test -t 0 && echo is-a-terminal\r")
        it.until(b"42 xterm")
        it.until(b"\r\nis-a-terminal\r\n")
        it.type(b"exit 5\r")
        assert it.process.wait(10) == 5
    assert status(paas, "shell") == ""


def test_left_and_joined_again(paas: Paas, machine: Machine, keeper: Client, door: str) -> None:
    with terminal(machine, keeper, door, "run", "-it", "--name", "left", "tiny:1", "sh") as it:
        it.until(b"/ # ")
        it.type(b"X=kept\r")
        it.until(b"X=kept\r\n")
        it.type(DETACH)
        assert it.process.wait(10) == 0
    assert status(paas, "left").startswith("Up ")
    with terminal(machine, keeper, door, "attach", "left") as it:
        press_return(it)
        it.type(b"echo got-$X\r")
        it.until(b"got-kept")
        it.type(b"while :; do echo noise; done\r")
        it.until(b"noise\r\nnoise")
        it.type(DETACH)
        assert it.process.wait(10) == 0
    assert status(paas, "left").startswith("Up ")
    with terminal(machine, keeper, door, "attach", "left") as it:
        it.until(b"noise")
        it.type(b"\x03")
        it.until(b"^C")
        press_return(it)
        it.type(b"exit 6\r")
        assert it.process.wait(20) == 6
    assert status(paas, "left").startswith("Exited (6)")


def test_exec_in_a_terminal(paas: Paas, machine: Machine, keeper: Client, door: str) -> None:
    paas("run", "-d", "--name", "host", "tiny:1", "sleep", "600")
    with terminal(machine, keeper, door, "exec", "-it", "-u", "nobody", "-w", "/tmp", "host", "sh") as it:
        it.until(b"$ ")
        it.type(b"id -u; readlink /proc/self/cwd; echo $TERM\r")
        it.until(b"65534\r\n/tmp\r\nvt100")
        it.type(b"exit 4\r")
        assert it.process.wait(10) == 4
    assert paas("exec", "-t", "host", "sh", check=False).status == 2


def test_a_start_in_its_terminal(paas: Paas, machine: Machine, keeper: Client) -> None:
    paas("run", "-d", "-it", "--name", "again", "tiny:1", "sh")
    paas("stop", "-t", "0", "again")
    with terminal(machine, keeper, "host", "start", "-ai", "again") as it:
        it.until(b"/ # ")
        it.type(b"exit 3\r")
        assert it.process.wait(10) == 3


def test_an_interrupt_without_a_terminal_is_passed_on(paas: Paas, machine: Machine) -> None:
    script = "trap 'echo interrupted; exit 7' INT; echo ready; while :; do sleep 0.1; done"
    words = ["run", "--name", "plain", "tiny:1", "sh", "-c", script]
    process = machine.start([str(PROJECT / "scripts" / "paas"), *words])
    wait_until(lambda: "ready" in paas("logs", "plain", check=False).text, "it runs")
    machine.run(["pkill", "-INT", "-f", "scripts/paas run --name plain"])
    assert process.wait(15) == 7
    assert "interrupted" in paas("logs", "plain").text


def test_attach_without_a_terminal(paas: Paas) -> None:
    paas("run", "-d", "-i", "--name", "lines", "tiny:1", "sh", "-c", "read a; echo got $a; exit 8")
    done = paas("attach", "lines", input=b"something\n", check=False)
    assert (done.status, done.text) == (8, "got something\n")
    assert paas("attach", "lines", check=False).status == 1


def test_a_caller_that_is_gone_leaves_it_running(paas: Paas, machine: Machine) -> None:
    words = ["run", "--name", "orphan", "tiny:1", "sh", "-c", "while :; do echo line; sleep 0.1; done"]
    process = machine.start([str(PROJECT / "scripts" / "paas"), *words])
    wait_until(lambda: "line" in paas("logs", "orphan", check=False).text, "it runs")
    machine.run(["pkill", "-KILL", "-f", "scripts/paas run --name orphan"])
    process.wait(10)
    count = paas("logs", "orphan").text.count("line")
    wait_until(lambda: paas("logs", "orphan").text.count("line") > count + 3, "it goes on")


def test_keys() -> None:
    keys = DetachKeys()
    assert keys.feed(b"abc") == (b"abc", False)
    assert keys.feed(b"a\x10") == (b"a", False)
    assert keys.feed(b"b") == (b"\x10b", False)
    assert keys.feed(b"\x10") == (b"", False)
    assert keys.feed(b"\x11rest") == (b"", True)
    assert keys.feed(b"a\x10\x10\x11") == (b"a\x10", True)
