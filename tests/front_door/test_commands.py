"""Commands as users give them: over ssh, with an app that runs, the effect seen from outside."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from paas.commands.catalog import filled
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.harness.web import Response
from tests.machine import Machine

APP = "front"


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("front", admin=True)


@pytest.fixture(scope="module")
def repository(machine: Machine, client: Client) -> Iterator[Repository]:
    made = client.repository(APP, {**httpd("one"), "www/slow": "x"})
    made.push(APP)
    yield made
    machine.paas("apps:destroy", APP, "--force")


def answer(machine: Machine) -> Response:
    return machine.get(APP)


def test_the_app_answers_to_its_hostname_alone(machine: Machine, client: Client, repository: Repository) -> None:
    assert answer(machine).text == "one\n"
    with pytest.raises(OSError):
        machine.get("nobody-has-this.example.com")
    assert APP in client.ssh("apps:list").text.split()
    assert client.ssh("urls", APP).text.startswith(f"http://{APP}.")


def test_config_vars_round_trip_through_awkward_quoting(client: Client, repository: Repository) -> None:
    awkward = 'it\'s "quoted" $HOME `id` \\ = ünï\nsecond line'
    done = client.ssh("config:set", APP, f"A={awkward}", "B=2")
    assert "quoted" not in done.text, "values are not echoed"
    assert client.ssh("config:get", APP, "A").text == awkward + "\n"
    assert client.ssh("config:set", APP, "B=2").text == "-----> Nothing changed\n"
    assert json.loads(client.ssh("config:export", APP, "--format", "json").text) == {"A": awkward, "B": "2"}
    inside = client.ssh("run", APP, "sh", "-c", 'echo "$A"; echo "$B $PORT"')
    assert inside.text == f"{awkward}\n2 \n"
    client.ssh("config:unset", APP, "A", "B")
    assert client.ssh("config:get", APP, "A", check=False).status == 1
    assert "quoted" not in client.ssh("events", APP).text


def test_scale_leaves_what_runs_alone(machine: Machine, client: Client, repository: Repository) -> None:
    def containers() -> set[str]:
        report = json.loads(client.ssh("ps:report", APP, "--format", "json").text)
        return {value.split()[2].strip(",") for key, value in report.items() if key.startswith("status-")}

    wait_until(lambda: len(containers()) == 1, "earlier instances are gone")
    before = containers()
    client.ssh("ps:scale", APP, "web=3")
    assert before < containers() and len(containers()) == 3
    assert answer(machine).text == "one\n"
    client.ssh("ps:scale", APP, "web=1")
    wait_until(lambda: containers() == before, "the others are gone")
    assert client.ssh("ps:scale", APP, "wrong=1", check=False).status == 1


def test_stop_start_restart(machine: Machine, client: Client, repository: Repository) -> None:
    client.ssh("ps:stop", APP)
    page = answer(machine)
    assert page.status == 502 and "has been stopped" in page.text
    client.ssh("ps:start", APP)
    assert answer(machine).text == "one\n"
    client.ssh("ps:restart", APP)
    assert answer(machine).text == "one\n"


def test_domains(machine: Machine, client: Client, repository: Repository) -> None:
    client.ssh("domains:add", APP, "other.example.com")
    assert machine.get("other.example.com").text == "one\n"
    assert "other.example.com" in client.ssh("nginx:show-config", APP).text
    client.ssh("apps:create", "second")
    taken = client.ssh("domains:add", "second", "other.example.com", check=False)
    assert taken.status == 1 and f"belongs to app {APP}" in taken.error
    client.ssh("apps:destroy", "second", "--force")
    for bad in ("x;return 200", "a{b", "$host", "UPPER.example.com"):
        assert client.ssh("domains:add", APP, bad, check=False).status == 1
    client.ssh("domains:reset", APP)
    with pytest.raises(OSError):
        machine.get("other.example.com")


def test_ports(machine: Machine, client: Client, repository: Repository) -> None:
    client.ssh("ports:add", APP, "http:9999:5000", "tcp:7777:5000")
    assert machine.get("any-name.example.com", port=9999).text == "one\n"
    assert machine.get("any", port=7777).text == "one\n"
    assert machine.get_inside("any", port=7777).text == "one\n"
    assert answer(machine).text == "one\n"
    client.ssh("ports:remove", APP, "9999", "7777")
    with pytest.raises(OSError):
        machine.get("any", port=7777)
    assert client.ssh("ports:add", APP, "tcp:2222:22", check=False).status == 1


def test_run_and_enter_return_the_status(client: Client, repository: Repository) -> None:
    assert client.ssh("run", APP, "sh", "-c", "exit 7", check=False).status == 7
    assert client.ssh("run", APP, "cat", input=b"through\n").text == "through\n"
    done = client.ssh("enter", APP, "web", "sh", "-c", "echo in; echo err >&2; exit 5", check=False)
    assert (done.status, done.text, done.error) == (5, "in\n", "err")


def test_storage_outlives_containers(client: Client, repository: Repository) -> None:
    client.ssh("storage:mount", APP, "front-data:/data")
    client.ssh("run", APP, "sh", "-c", "echo kept >/data/file")
    client.ssh("ps:restart", APP)
    assert client.ssh("enter", APP, "web", "cat", "/data/file").text == "kept\n"
    client.ssh("storage:unmount", APP, "front-data:/data")


def test_a_failing_push_changes_nothing(machine: Machine, client: Client, repository: Repository) -> None:
    before = client.ssh("apps:report", APP, "--format", "json").text
    for dockerfile, words in (
        ("FROM scratch\nRNU x\n", "Did you mean RUN"),
        ("FROM nowhere:1\n", "There is no image nowhere:1"),
        ("FROM scratch\nADD root.tar /\nRUN exit 3\n", "ended with status 3"),
        ('FROM scratch\nADD root.tar /\nCMD ["/bin/sh", "-c", "echo last words; exit 4"]\n', "last words"),
        ("FROM scratch\nCOPY ../x /\n", "leads outside"),
    ):
        repository.commit({"Dockerfile": dockerfile})
        done = repository.push(APP, check=False)
        assert done.status == 1
        assert words in done.error and "pre-receive hook declined" in done.error
    assert client.ssh("apps:report", APP, "--format", "json").text == before
    assert answer(machine).text == "one\n"
    repository.commit({"Dockerfile": httpd("one")["Dockerfile"]})
    repository.push(APP)


def test_two_pushes_to_one_app_queue(machine: Machine, client: Client, repository: Repository) -> None:
    slow = "FROM scratch\nADD root.tar /\nRUN sleep 2\nCOPY index.html /www/\n"
    slow += 'CMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]\n'
    repository.commit({"Dockerfile": slow, "index.html": "two\n"})
    pushing = threading.Thread(target=repository.push, args=(APP,))
    pushing.start()
    wait_until(lambda: "is busy" in client.ssh("apps:destroy", APP, input=b"", check=False).error, "it is refused")
    done = client.ssh("config:set", APP, "QUEUED=1")
    assert "Waiting for" in done.text
    pushing.join()
    assert answer(machine).text == "two\n"


def test_errors_say_what_to_do(client: Client, repository: Repository) -> None:
    missing = client.ssh("config:show", "frant", check=False)
    assert missing.status == 20 and f"Did you mean {APP}?" in missing.error
    unknown = client.ssh("config:sett", APP, check=False)
    assert unknown.status == 2 and "config:set" in unknown.error
    assert client.ssh("config:set", "--help").text.startswith("Usage: config:set")
    unsure = client.ssh("apps:destroy", APP, input=b"no\n", check=False)
    assert unsure.status == 1 and "nothing was changed" in unsure.error


def test_only_admin_keys_manage_keys(machine: Machine, client: Client) -> None:
    plain = machine.client("plain", admin=False)
    assert plain.ssh("apps:list").status == 0
    assert "needs the role admin" in plain.ssh("ssh-keys:list", check=False).error
    assert "plain" in client.ssh("ssh-keys:list").text
    client.ssh("ssh-keys:remove", "plain")
    assert plain.ssh("apps:list", check=False).status == 255


REPORTS = [command.name for command in filled() if command.name.endswith(":report") and command.name != "system:report"]
"""Of apps."""


@pytest.mark.parametrize("name", REPORTS)
def test_one_value_of_a_report(client: Client, repository: Repository, name: str) -> None:
    """As scripts for Dokku ask for it: `X:report APP --KEY` prints the value alone, a wrong one names the others."""
    every = json.loads(client.ssh(name, APP, "--format", "json").text)
    key, value = next(iter(every.items()))
    shown = {True: "true", False: "false", None: ""}.get(value, str(value))
    assert client.ssh(name, APP, f"--{key}").text == f"{shown}\n"
    wrong = client.ssh(name, APP, "--no-such-key", check=False)
    assert wrong.status != 0 and "valid flags: --" in wrong.error
    assert client.ssh(name, "missing-app", check=False).status == 20
