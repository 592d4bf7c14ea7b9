"""run, run:*, enter: commands in an app's containers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from paas.system import run as system
from tests.conftest import MachineMaker
from tests.harness.apps import httpd
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "errand"
_APP = {**httpd("errand"), "Procfile": 'web: exec httpd -f -p $PORT -h /www\ngreet: echo "hello $WHO"\n'}


@pytest.fixture(scope="module")
def client(machine: Machine) -> Iterator[Client]:
    client = machine.client("errand")
    client.repository(APP, _APP).push(APP)
    yield client
    machine.paas("apps:destroy", APP, "--force")


def test_run_knows_the_procfile_and_ends_in_time(client: Client) -> None:
    assert client.ssh("run", "-e", "WHO=you = ü $x", APP, "greet").text == "hello you = ü $x\n"
    assert client.ssh("run", "--no-tty", APP, "sh", "-c", "exit 3", check=False).status == 3
    assert client.ssh("run", APP, "echo", "a b", "'c'", "$d", "e\nf").text == "a b 'c' $d e\nf\n"
    late = client.ssh("run", "--ttl-seconds", "1", APP, "sleep", "60", check=False)
    assert late.status == 130 and "longer than it may" in late.error
    assert client.ssh("run", "errandd", "ls", check=False).status == 20


def test_a_detached_command(client: Client, machine: Machine) -> None:
    name = client.ssh("run:detached", "-e", "WHO=all", APP, "sh", "-c", "echo begun $WHO; exec sleep 600").text.strip()
    assert name.startswith(f"{APP}.run.")
    wait_until(lambda: client.ssh("run:logs", APP, "-q").text == "begun all\n", "it has begun")
    [listed] = json.loads(client.ssh("run:list", APP, "--format", "json").text)
    assert (listed["name"], listed["state"], listed["who"].split()[0]) == (name, "running", "errand")
    assert name in client.ssh("run:list", APP).text
    client.ssh("run:stop", "--container", name)
    assert json.loads(client.ssh("run:list", APP, "--format", "json").text) == []
    assert client.ssh("run:logs", "--container", name, "-q").text == "begun all\n", "its log is kept"
    assert client.ssh("run:stop", "--container", name, check=False).status == 1
    assert client.ssh("run:stop", "--container", "nosuch.run.1", check=False).status == 20
    assert client.ssh("run:logs", check=False).status == 2


def test_commands_with_their_caller_are_listed_and_stopped_too(client: Client) -> None:
    callers = [
        system.start(client.ssh_command("run", APP, "sleep", text), stdout=system.PIPE) for text in ("601", "602")
    ]
    detached = client.ssh("run:detached", APP, "sleep", "603").text.strip()

    def listed() -> dict[str, tuple[str, bool]]:
        found = json.loads(client.ssh("run:list", APP, "--format", "json").text)
        return {entry["command"]: (entry["name"], entry["detached"]) for entry in found}

    try:
        wait_until(lambda: len(listed()) == 3, "all three run")
        assert listed()["sleep 603"] == (detached, True) and not listed()["sleep 601"][1]
        name = listed()["sleep 601"][0]
        assert name.startswith(f"{APP}.run.") and name in client.ssh("run:list", APP).text
        assert f"Stopped {name}" in client.ssh("run:stop", "--container", name).text
        assert callers[0].wait(20) == 143, "its caller is told"
        assert set(listed()) == {"sleep 602", "sleep 603"}
        client.ssh("run:stop", APP)
        assert callers[1].wait(20) == 143
        wait_until(lambda: not listed(), "nothing runs")
        assert "runs no command" in client.ssh("run:stop", APP).text
    finally:
        for caller in callers:
            caller.kill()
            caller.wait()


def test_a_detached_command_that_ends(client: Client) -> None:
    name = client.ssh("run:detached", APP, "greet").text.strip()
    wait_until(lambda: client.ssh("run:list", APP, "--format", "json").text == "[]\n", "it has ended")
    assert client.ssh("run:logs", "--container", name, "-q").text == "hello \n"
    brief = client.ssh("run:detached", "--ttl-seconds", "1", APP, "sleep", "600").text.strip()
    wait_until(lambda: brief not in client.ssh("run:list", APP).text, "its time is over")


def test_others_see_nothing_of_it(client: Client, machine: Machine) -> None:
    stranger = machine.client("errand-stranger")
    machine.paas("access:remove", "errand-stranger")
    name = client.ssh("run:detached", APP, "sleep", "600").text.strip()
    for words in (["run:stop", "--container", name], ["run:logs", "--container", name], ["run:list", APP]):
        assert stranger.ssh(*words, check=False).status == 20, words
    machine.paas("access:add", "errand-stranger", "view", APP)
    assert stranger.ssh("run:list", APP).status == 0
    assert stranger.ssh("run:stop", "--container", name, check=False).status == 1
    client.ssh("run:stop", APP)


def test_enter(client: Client) -> None:
    report = json.loads(client.ssh("ps:report", APP, "--format", "json").text)
    id = next(value for key, value in report.items() if key.startswith("status-web")).split()[2].rstrip(",)")
    assert client.ssh("enter", APP, "web", "echo", "a b").text == "a b\n"
    assert client.ssh("enter", APP, "web.1", "echo", "there").text == "there\n"
    assert client.ssh("enter", APP, "--container-id", id, "echo", "by id").text == "by id\n"
    assert client.ssh("enter", "--container-id", id, APP, "echo", "by id").text == "by id\n"
    assert client.ssh("enter", APP, "--container-id", "f00", "ls", check=False).status == 1


def test_it_survives_the_engine(new_machine: MachineMaker) -> None:
    machine = new_machine()
    client = machine.client("errand", admin=True)
    client.repository(APP, _APP).push(APP)
    client.ssh("run:detached", APP, "sh", "-c", "echo one; sleep 600")
    wait_until(lambda: "one" in client.ssh("run:logs", APP).text, "it has begun")
    client.ssh("ps:restart", APP)
    wait_until(lambda: client.ssh("logs", APP, "-n", "all", check=False).status == 0, "there are logs")
    machine.engine_kill()
    machine.engine_start()
    assert len(json.loads(client.ssh("run:list", APP, "--format", "json").text)) == 1
    client.ssh("run:stop", APP)
    assert "one" in client.ssh("logs", APP, "-n", "all").text
    machine.paas("apps:destroy", APP, "--force")
