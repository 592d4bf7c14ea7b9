"""Finding one's way: help, near matches, global flags, completion, colours, the events."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest

from paas.paths import PROJECT
from paas.system import run as system
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "find-me"


@pytest.fixture(scope="module")
def client(machine: Machine) -> Iterator[Client]:
    machine.paas("apps:create", APP)
    yield machine.client("finder", admin=True)
    machine.paas("apps:destroy", APP, "--force")


def as_dokku(client: Client, machine: Machine, command: str, *options: str) -> system.Completed:
    """As Dokku's own client and its CI actions do it: the words unquoted, the user `dokku`."""
    argv = [*client.ssh_argv, *options, "-p", str(machine.settings.ssh_port), f"dokku@{machine.address}", "--", command]
    return system.run(argv, timeout=30, check=False)


def test_help(client: Client, machine: Machine) -> None:
    overview = client.ssh("help").text
    assert "Apps and what they run (help apps)" in overview and ":create" in overview
    assert "apps:create" in client.ssh("help", "--all").text
    assert "nginx:show-config" in client.ssh("help", "web").text, "a topic"
    assert "domains:add" in client.ssh("help", "hostname").text, "a word"
    for words in (["apps"], ["apps:help"], ["apps", "--help"], ["help", "apps"]):
        assert "apps:create" in client.ssh(*words).text
    assert "config:set" in client.ssh("config").text, "an alias without its app"
    explained = client.ssh("apps:destroy", "--help").text
    assert "--force" in explained and "Role: deploy" in explained and "Examples:" in explained
    nothing = client.ssh("help", "domians:ad", check=False)
    assert nothing.status == 2 and "domains:add" in nothing.error
    assert "apps:list" in client.ssh("apps:lst", check=False).error
    assert "--force" in client.ssh("apps:destroy", APP, "--forse", check=False).error
    assert client.ssh("shell", check=False).status == 1


def test_all_reports_of_an_app(client: Client, machine: Machine) -> None:
    machine.paas("docker-options:add", APP, "deploy", "--env", "TOKEN=s3cret-value")
    told = client.ssh("report", APP).text
    for noun in ("app", "ps", "git", "domains", "ports", "nginx", "storage", "docker options"):
        assert f"=====> {APP} {noun} information" in told, noun
    assert told in client.ssh("report").text
    viewer = machine.client("find-viewer")
    machine.paas("access:add", "find-viewer", "view", APP)
    seen = viewer.ssh("report", APP).text
    assert f"=====> {APP} ps information" in seen and "s3cret-value" not in seen, "what the role allows"
    assert client.ssh("report", "missing-app", check=False).status == 20
    machine.paas("docker-options:clear", APP, "deploy")


def test_global_flags_stand_anywhere(client: Client, machine: Machine) -> None:
    assert as_dokku(client, machine, "--quiet apps:list").text == client.ssh("apps:list", "--quiet").text
    assert "My Apps" not in client.ssh("apps:list", "--quiet").text
    assert as_dokku(client, machine, f"--trace --app {APP} apps:exists").status == 0
    assert client.ssh("apps:exists", "--app", APP).status == 0
    client.ssh("apps:create", "find-doomed")
    assert as_dokku(client, machine, "--force apps:destroy find-doomed").status == 0
    assert as_dokku(client, machine, "apps:exists find-doomed").status == 20
    assert as_dokku(client, machine, f"config:set {APP} 'A=it is \"so\" $HOME = ü'").status == 0
    assert as_dokku(client, machine, f"config:get {APP} A").text == 'it is "so" $HOME = ü\n'
    assert as_dokku(client, machine, "--nonsense apps:list").status == 1


def test_events(client: Client, machine: Machine) -> None:
    client.ssh("config:set", APP, "TOKEN=s3cret-value")
    client.ssh("config:set", APP, "2BAD=s3cret-value", check=False)
    found = json.loads(client.ssh("events", "--app", APP, "--who", "finder", "--format", "json").text)
    assert [(e["action"], e["outcome"]) for e in found[-2:]] == [("config:set", ""), ("config:set", "failed")]
    assert found[-1]["address"] and "TOKEN" in found[-2]["detail"]
    assert "s3cret-value" not in client.ssh("events", "-n", "all").text
    assert json.loads(client.ssh("events", "--since", "2030-01-01T00:00:00Z", "--format", "json").text) == []
    assert len(client.ssh("events", "-n", "3").text.splitlines()) == 3
    assert "config:set" in client.ssh("events:list").text
    assert client.ssh("events:off", check=False).status == 1
    tail = machine.start([str(PROJECT / "scripts" / "paas"), "events", "-t", "--format", "json"], stdout=system.PIPE)
    try:
        assert tail.stdout is not None
        assert tail.stdout.readline()
        client.ssh("config:unset", APP, "TOKEN")
        wait_until(lambda: json.loads(tail.stdout.readline())["action"] == "config:unset", "it is followed")  # type: ignore[union-attr]
    finally:
        tail.terminate()
        tail.wait(10)


def test_completion_in_bash(client: Client, machine: Machine) -> None:
    inside = machine.paas("completion", "bash").text
    assert system.run(["bash", "-n"], input=inside.encode()).status == 0

    def at(line: str) -> list[str]:
        text = f'{inside}\nCOMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}; _paas_complete; printf "%s\\n" '
        text += '"${COMPREPLY[@]}"\n'
        path = f"{PROJECT}/scripts:/usr/bin:/bin"
        return machine.run(["bash", "--norc", "-c", text], env={"PATH": path}).text.split()

    assert "create" in at("paas apps:c") and "clone" in at("paas apps:c"), "bash writes what follows the colon"
    assert "config:set" in at("paas con")
    assert at("paas apps:destroy --fo") == ["--force"]
    assert at(f"paas apps:report {APP[:6]}") == [APP]
    assert at("paas git:set --global dep") == ["deploy-branch"]
    assert at("paas --app find") == [APP]


def test_completion_over_ssh(client: Client, machine: Machine) -> None:
    script = client.ssh("completion", "bash", "--ssh", "my-host").text
    ssh = shlex.join([*client.ssh_argv, "-p", str(machine.settings.ssh_port)])
    far = (
        "ssh() { while [[ $1 == -o ]]; do shift 2; done; [[ $1 == my-host ]]; shift; "
        f'command {ssh} paas@{machine.address} "$@"; }}'
    )
    line = f"paas config:set {APP[:6]}"
    text = f'{far}\n{script}\nCOMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}; _paas_complete; printf "%s\\n" '
    assert system.run(["bash", "--norc", "-c", text + '"${COMPREPLY[@]}"'], timeout=30).text.split() == [APP]
    assert client.ssh("completion", "bash", "--ssh", "-oProxyCommand=x", check=False).status == 1
    assert client.ssh("completion", "fish", check=False).status == 1


def test_colours_and_widths_are_for_terminals(client: Client, machine: Machine) -> None:
    def shown(command: str, term: str, *options: str) -> str:
        argv = [*client.ssh_argv, "-tt", *options, "-p", str(machine.settings.ssh_port), f"paas@{machine.address}"]
        return system.run([*argv, "--", command], env={"TERM": term, "NO_COLOR": "1"}, timeout=30, check=False).text

    assert "\x1b[" in shown("apps:list", "xterm")
    assert "\x1b[" not in shown("apps:list", "dumb")
    assert "\x1b[" not in shown("apps:list", "xterm", "-o", "SendEnv=NO_COLOR")
    assert "\x1b[" not in client.ssh("apps:list").text
    assert json.loads(shown("ssh-keys:list --format json", "xterm"))
