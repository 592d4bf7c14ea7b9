"""Checks of instances: at a deploy, and as long as they run; seen from outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "checked"
WEB = "web: echo $DYNO > /www/who; touch /www/ready /www/alive; exec httpd -f -p $PORT -h /www\n"


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("checker")


@pytest.fixture(scope="module")
def repository(machine: Machine, client: Client) -> Iterator[Repository]:
    made = client.repository(APP, httpd("one") | {"Procfile": WEB, "app.json": said()})
    made.push(APP)
    yield made
    machine.paas("apps:destroy", APP, "--force")


def said(*checks: dict[str, Any], **more: Any) -> str:
    return json.dumps({"healthchecks": {"web": list(checks)}, **more})


def report(client: Client) -> dict[str, Any]:
    """What runs, less what is on its way out."""
    found: dict[str, Any] = json.loads(client.ssh("ps:report", APP, "--format", "json").text)
    return {key: text for key, text in found.items() if key != "processes" and not str(text).startswith("draining")}


def answering(machine: Machine) -> set[str]:
    return {machine.get(APP, "/who").text.strip() for _ in range(12)}


def test_startup_checks(machine: Machine, client: Client, repository: Repository) -> None:
    good = (
        {
            "type": "startup",
            "name": "it's up",
            "path": "/",
            "content": "one",
            "httpHeaders": [{"name": "A", "value": 1}],
        },
        {"type": "startup", "command": ["sh", "-c", "test -f /www/alive"]},
        {"type": "startup", "listening": True},
        {"type": "startup", "uptime": 0.3},
        {"type": "startup", "path": "/nowhere", "attempts": 1, "warn": True, "name": "only told"},
    )
    repository.commit({"app.json": said(*good)})
    done = repository.push(APP).error
    assert "-----> Executing 5 healthchecks" in done
    assert 'Healthcheck succeeded name="it\'s up" (web.1)' in done
    assert "Healthcheck failed name='only told' (web.1): answered 404" in done
    ran = client.ssh("checks:run", APP, "web.1")
    assert "Healthcheck succeeded name='sh -c test -f /www/alive'" in ran.text

    before = report(client)
    bad = {"type": "startup", "path": "/nowhere", "attempts": 2, "wait": 0.1, "timeout": 1}
    repository.commit(
        {"app.json": said(bad, {"type": "startup", "command": ["sh", "-c", "echo 'not me'; exit 3"], "attempts": 1})}
    )
    refused = repository.push(APP, check=False)
    assert refused.status != 0 and "Could not start due to 2 failed checks (web.1)" in refused.error
    assert "/nowhere: answered 404" in refused.error and "ended with status 3: 'not me'" in refused.error
    assert report(client) == before and machine.get(APP).text == "one\n"

    assert client.ssh("checks:run", "missing-app", check=False).status == 20
    assert client.ssh("checks:run", APP, "worker", check=False).status == 1


def test_skipped_and_disabled(machine: Machine, client: Client, repository: Repository) -> None:
    client.ssh("checks:skip", APP, "web")
    release = json.loads(client.ssh("releases", APP, "--format", "json").text)[1]["number"]
    repository.push(APP)  # with the checks that failed just now
    assert client.ssh("checks:run", APP, check=False).status == 1
    wait_until(lambda: machine.get(APP).text == "one\n", "it serves")
    client.ssh("checks:disable", APP)
    found = json.loads(client.ssh("checks:report", APP, "--format", "json").text)
    assert (found["checks-disabled-list"], found["checks-skipped-list"]) == ("_all_", "")
    repository.commit({"index.html": "two\n", "app.json": said()})
    done = repository.push(APP).error
    assert "Ending web.1 first" in done
    wait_until(lambda: machine.get(APP).text == "two\n", "the new one serves")
    repository.commit(
        {"app.json": json.dumps({"scripts": {"dokku": {"postdeploy": "false"}}}), "index.html": "three\n"}
    )
    assert repository.push(APP, check=False).status != 0
    wait_until(lambda: machine.get(APP).text == "two\n", "the former release is started again", 30)
    assert client.ssh("checks:enable", APP, "web", check=False).status == 1
    client.ssh("checks:enable", APP)
    client.ssh("releases:rollback", APP, str(release))
    assert 'Healthcheck succeeded name="it\'s up"' in client.ssh("checks:run", APP, check=False).text
    assert json.loads(client.ssh("checks:report", APP, "--format", "json").text)["checks-skipped-list"] == ""
    assert client.ssh("checks:set", APP, "attempts", "0", check=False).status == 1
    assert client.ssh("checks:disable", "missing-app", check=False).status == 20
    assert client.ssh("checks:disable", APP, "We b", check=False).status == 1


def test_while_they_run(machine: Machine, client: Client, repository: Repository) -> None:
    checks = (
        {"type": "readiness", "path": "/ready", "wait": 0.2, "attempts": 2, "timeout": 1},
        {"type": "liveness", "name": "heart beat", "path": "/alive", "wait": 0.2, "attempts": 2, "timeout": 1},
    )
    repository.commit({"app.json": said(*checks, formation={"web": {"quantity": 2, "max_parallel": 1}})})
    repository.push(APP)
    assert answering(machine) == {"web.1", "web.2"}
    client.ssh("enter", APP, "web.1", "rm", "/www/ready")
    wait_until(lambda: "readiness check /ready: answered 404" in report(client)["status-web.1"], "web.1 is not ready")
    wait_until(lambda: answering(machine) == {"web.2"}, "it gets no traffic")
    client.ssh("enter", APP, "web.1", "touch", "/www/ready")
    wait_until(lambda: answering(machine) == {"web.1", "web.2"}, "it gets traffic again")
    assert "no requests" not in report(client)["status-web.1"]

    before = report(client)["status-web.2"].split()[2]
    client.ssh("enter", APP, "web.2", "rm", "/www/alive")

    def replaced() -> bool:
        text = str(report(client).get("status-web.2", ""))
        return text.startswith("running") and text.split()[2] != before

    wait_until(replaced, "web.2 is replaced", 20)
    assert "because it failed its liveness check heart beat: answered 404" in report(client)["status-web.2"]
    wait_until(lambda: answering(machine) == {"web.1", "web.2"}, "both serve")


def test_what_is_not_ready_stays_so_for_the_next_engine(
    machine: Machine, client: Client, repository: Repository
) -> None:
    """The next engine asks late: what it does at first, it does by what the last one knew."""
    told = {"command": ["sh", "-c", "echo $DYNO is unwell >>/www/told"]}
    often = {"wait": 0.2, "attempts": 1, "timeout": 1}
    check = {"type": "readiness", "path": "/ready", **often, "initialDelay": 2, "onFailure": told}
    formation = {"web": {"quantity": 2}}
    repository.commit({"app.json": said(check, formation=formation)})
    repository.push(APP)
    client.ssh("enter", APP, "web.1", "rm", "/www/ready")
    wait_until(lambda: "gets no requests" in report(client)["status-web.1"], "web.1 is not ready")
    wait_until(lambda: client.ssh("enter", APP, "web.1", "cat", "/www/told", check=False).text, "onFailure has run")
    for end in (machine.engine_kill, machine.engine_stop):
        end()
        machine.engine_start()
        found = {machine.get(APP, "/who").text.strip() for _ in range(40)}
        assert found == {"web.2"}, "not one request goes to it"
        assert "readiness check /ready: answered 404" in report(client)["status-web.1"]
    told_once = client.ssh("enter", APP, "web.1", "cat", "/www/told").text
    assert told_once == "web.1 is unwell\n", "told when it fails, not again by the next engine"
    client.ssh("enter", APP, "web.1", "touch", "/www/ready")
    wait_until(lambda: answering(machine) == {"web.1", "web.2"}, "it gets traffic again")
    client.ssh("enter", APP, "web.1", "rm", "/www/ready")
    wait_until(lambda: answering(machine) == {"web.2"}, "it gets no traffic")
    client.ssh("checks:skip", APP, "web")
    wait_until(lambda: answering(machine) == {"web.1", "web.2"}, "what nobody checks gets traffic")
    client.ssh("checks:enable", APP)
