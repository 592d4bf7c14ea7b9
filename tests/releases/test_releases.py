"""Releases through the front door: what makes one, what differs, and the way back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.machine import Machine

APP = "history"
SECRET = "s3cret-value-of-a-config-var"


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("historian", admin=True)


@pytest.fixture(scope="module")
def repository(machine: Machine, client: Client) -> Iterator[Repository]:
    made = client.repository(APP, httpd("one"))
    made.push(APP)
    yield made
    machine.paas("apps:destroy", APP, "--force")


def listed(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(client.ssh("releases", APP, "--format", "json").text)
    return found


def current(client: Client) -> int:
    return next(int(entry["number"]) for entry in listed(client) if entry["current"])


def containers(client: Client) -> set[str]:
    report = json.loads(client.ssh("ps:report", APP, "--format", "json").text)
    return {value.split()[2].strip(",") for value in report.values() if str(value).startswith("running")}


def test_every_change_is_a_release_and_all_come_back(machine: Machine, client: Client, repository: Repository) -> None:
    first = current(client)
    client.ssh("config:set", APP, f"TOKEN={SECRET}", "COLOUR=red")
    running = containers(client)
    client.ssh("ps:scale", APP, "web=2")
    client.ssh("domains:add", APP, "old.example.com")
    assert running < containers(client), "what runs is left alone by a change of scale or domains"
    client.ssh("ports:add", APP, "http:8080:5000")
    full = current(client)
    assert full == first + 4
    repository.commit({"index.html": "two\n"})
    repository.push(APP)
    client.ssh("config:set", APP, "COLOUR=blue", "NEW=1")
    client.ssh("config:unset", APP, "TOKEN")
    client.ssh("ps:scale", APP, "web=1")
    client.ssh("domains:reset", APP)
    client.ssh("ports:remove", APP, "8080")
    assert machine.get(APP).text == "two\n"

    whys = [entry["why"] for entry in listed(client)[-5:-1]]
    assert whys == ["Map ports http:8080:5000", "Domains: add old.example.com", "Scale web=2", "Set COLOUR, TOKEN"]
    assert all("historian" in entry["who"] for entry in listed(client))

    text = client.ssh("releases:diff", APP, str(full)).text
    assert "- scale web: 2" in text and "+ scale web: 1" in text and "- port http:8080: 5000" in text
    assert "- config TOKEN: *****" in text and "+ config NEW: *****" in text and "- commit: " in text
    assert SECRET not in text and "red" not in text
    described = client.ssh("releases:info", APP, str(full)).text
    assert "TOKEN" in described and SECRET not in described

    done = client.ssh("releases:rollback", APP, str(full))
    assert f"Rolled back to v{full}" in done.text
    assert machine.get(APP).text == "one\n"
    assert machine.get("old.example.com").text == "one\n"
    assert len(containers(client)) == 2
    assert client.ssh("config:get", APP, "TOKEN").text == f"{SECRET}\n"
    assert client.ssh("config:get", APP, "NEW", check=False).status == 1
    assert client.ssh("run", APP, "sh", "-c", 'echo "$TOKEN $COLOUR"').text == f"{SECRET} red\n"
    assert "8080" in client.ssh("ports:list", APP).text
    assert client.ssh("releases:diff", APP, str(full)).text.splitlines()[1:] == ["       Nothing differs"]

    client.ssh("releases:rollback", APP)
    assert machine.get(APP).text == "two\n", "without a number: the one before"


def test_what_fails_changes_nothing(machine: Machine, client: Client, repository: Repository) -> None:
    before, answer, runs = listed(client), machine.get(APP).text, containers(client)
    assert client.ssh("releases:rollback", APP, "999", check=False).status == 1
    assert client.ssh("releases:rollback", APP, "x", check=False).status == 1
    assert client.ssh("releases:rollback", "missing-app", check=False).status == 20
    assert client.ssh("releases", "missing-app", check=False).status == 20
    assert client.ssh("releases:diff", APP, "999", check=False).status == 1
    repository.commit({"Dockerfile": str(httpd("x")["Dockerfile"]).replace("exec httpd", "exit 3; exec httpd")})
    assert repository.push(APP, check=False).status != 0
    assert listed(client) == before and containers(client) == runs
    client.ssh("ps:restart", APP)
    assert machine.get(APP).text == answer, "the failed image is not picked up later"


def test_a_rollback_to_what_another_app_has_by_now(machine: Machine, client: Client, repository: Repository) -> None:
    client.ssh("domains:set", APP, "mine.example.com")
    mine = current(client)
    client.ssh("domains:reset", APP)
    client.ssh("config:set", APP, "STAYS=1")
    machine.paas("apps:create", "thief")
    try:
        machine.paas("domains:set", "thief", "mine.example.com")
        before, runs = listed(client), containers(client)
        refused = client.ssh("releases:rollback", APP, str(mine), check=False)
        assert refused.status == 1 and b"thief" in refused.stderr
        assert listed(client) == before and containers(client) == runs
        assert client.ssh("config:get", APP, "STAYS").text == "1\n"
    finally:
        machine.paas("apps:destroy", "thief", "--force")


def test_old_releases_go(machine: Machine, client: Client, repository: Repository) -> None:
    client.ssh("releases:set", APP, "retention", "3")
    for number in range(4):
        client.ssh("config:set", APP, f"TURN={number}")
    assert len(listed(client)) == 3
    assert client.ssh("releases:set", APP, "retention", "many", check=False).status == 1
    assert json.loads(client.ssh("releases:report", APP, "--format", "json").text)["releases-computed-retention"] == 3
    client.ssh("releases:set", APP, "retention")
    client.ssh("releases:set", APP, "disk", "64k")
    for word in ("three", "four", "five", "six"):
        repository.commit({"Dockerfile": httpd("x")["Dockerfile"], "index.html": word + "x" * 100_000})
        repository.push(APP)
    assert len(listed(client)) == 2, "images of more than the budget: only the last two are kept"
    client.ssh("releases:rollback", APP)
    assert machine.get(APP).text.startswith("five")


def test_config_vars_are_encrypted_at_rest(machine: Machine, client: Client, repository: Repository) -> None:
    client.ssh("config:set", APP, f"TOKEN={SECRET}")
    for phase, flag in (("deploy", "--env"), ("run", "--env"), ("build", "--build-arg")):
        client.ssh("docker-options:add", APP, phase, flag, f"OTHER={SECRET}")
    client.ssh("run:detached", "--env", f"OTHER={SECRET}", APP, "sh", "-c", f"sleep 100 # {SECRET}")
    assert SECRET in client.ssh("run:list", APP).text

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in machine.data_dir.glob("paas.db*"))

    def everything() -> set[str]:
        with sqlite3.connect(f"file:{machine.data_dir / 'paas.db'}?mode=ro", uri=True) as connection:
            return {row[0] for row in connection.execute("SELECT value FROM config UNION SELECT config FROM releases")}

    key = machine.data_dir / "paas.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert SECRET.encode() not in on_disk()
    before, old_key = everything(), key.read_bytes()
    machine.paas("config:rotate-key")
    assert key.read_bytes() != old_key and len(key.read_bytes().split()) == 1
    assert not before & everything() and SECRET.encode() not in on_disk()
    assert client.ssh("config:get", APP, "TOKEN").text == f"{SECRET}\n"
    assert SECRET in client.ssh("docker-options:report", APP).text and SECRET in client.ssh("run:list", APP).text
    client.ssh("run:stop", APP)
    for phase in ("deploy", "run", "build"):
        client.ssh("docker-options:clear", APP, phase)
    client.ssh("releases:rollback", APP)
