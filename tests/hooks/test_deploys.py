"""What a repository says about its app, and the tasks around a deploy; through the front door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.machine import Machine

APP = "hooked"


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("hooker")


@pytest.fixture(scope="module")
def repository(machine: Machine, client: Client) -> Iterator[Repository]:
    yield client.repository(APP)
    machine.paas("apps:destroy", APP, "--force")


def app_json(**keys: Any) -> str:
    return "// what this app needs\n" + json.dumps(keys, indent=1)


def state(client: Client) -> tuple[str, str, str]:
    """What a failed deploy must not change."""
    report = json.loads(client.ssh("ps:report", APP, "--format", "json").text)
    return (
        client.ssh("releases", APP, "--format", "json").text,
        client.ssh("config:show", APP, "--format", "json").text,
        json.dumps([text for text in report.values() if "draining" not in str(text) and not isinstance(text, int)]),
    )


def test_a_first_deploy_with_everything(machine: Machine, client: Client, repository: Repository) -> None:
    said: dict[str, Any] = {
        "env": {
            "PLAIN": 'it\'s "quoted" $HOME',
            "SECRET_KEY": {"generator": "secret", "description": "signs cookies"},
            "MUST": {"required": True},
            "MAY": {"required": False},
            "SYNCED": {"value": "one", "sync": True},
        },
        "scripts": {
            "dokku": {"predeploy": 'echo "$PLAIN" > /www/pre.txt', "postdeploy": "echo post >> /data/log"},
            "postdeploy": "echo first >> /data/log",
        },
        "formation": {"web": {"quantity": 2, "max_parallel": 1}, "worker": {"quantity": 0}},
    }
    files = httpd("one") | {
        "app.json": app_json(**said),
        "Procfile": "web: exec httpd -f -p $PORT -h /www\nworker: sleep 1000\nother: sleep 1000\n"
        'release: echo "rel $PLAIN" >> /data/log; echo told\n',
    }
    repository.commit(files)
    machine.paas("apps:create", APP)
    machine.paas("storage:mount", APP, "hooked-data:/data")
    refused = repository.push(APP, check=False)
    assert refused.status != 0
    assert "required env var MUST has no value, no default, and no TTY for prompt" in refused.error
    assert "Building" not in refused.error
    client.ssh("config:set", APP, "MUST=mine", "SYNCED=before")

    done = repository.push(APP).error
    expected = [
        f"-----> Building {APP} from Dockerfile",
        "-----> Processing app.json",
        "Setting PLAIN",
        "-----> Executing predeploy task",
        "-----> Executing release task",
        f"=====> Start of {APP} release task (",
        "remote: told",
        f"=====> End of {APP} release task (",
        f"-----> Deploying {APP}",
        "-----> Executing postdeploy task",
        "=====> Application deployed:",
    ]
    places = [done.index(text) for text in expected]
    assert places == sorted(places), done
    assert machine.get(APP, "/pre.txt").text == 'it\'s "quoted" $HOME\n', "predeploy's changes are in the image"
    log = client.ssh("run", APP, "cat", "/data/log").text
    assert log == 'rel it\'s "quoted" $HOME\npost\nfirst\n'
    config = json.loads(client.ssh("config:show", APP, "--format", "json").text)
    assert len(config["SECRET_KEY"]) == 64 and config["MUST"] == "mine" and config["SYNCED"] == "one"
    assert "MAY" not in config and config["SECRET_KEY"] not in done
    scale = json.loads(client.ssh("ps:scale", APP, "--format", "json").text)
    assert scale == {"web": 2, "worker": 0, "other": 0}
    refused = client.ssh("ps:scale", APP, "web=1", check=False)
    assert refused.status == 1 and "cannot be scaled" in refused.error

    client.ssh("config:set", APP, "PLAIN=own", "SYNCED=mine")
    said["env"]["PLAIN"] = "other"
    said["env"]["LATER"] = "x"
    repository.commit(
        {"app.json": app_json(**{k: v for k, v in said.items() if k != "formation"}), "index.html": "two\n"}
    )
    repository.push(APP)
    after = json.loads(client.ssh("config:show", APP, "--format", "json").text)
    assert after == config | {"PLAIN": "own", "SYNCED": "one"}, "what is set stays; only what is kept in sync changes"
    assert client.ssh("run", APP, "tail", "-n", "2", "/data/log", check=False).text in ("", "rel own\npost\n")
    assert json.loads(client.ssh("ps:scale", APP, "--format", "json").text)["web"] == 1
    first = json.loads(client.ssh("releases", APP, "--format", "json").text)[-1]["number"]
    client.ssh("releases:rollback", APP, str(first))
    assert json.loads(client.ssh("ps:scale", APP, "--format", "json").text)["web"] == 2, "its formation came back"
    assert machine.get(APP).text == "one\n" and machine.get(APP, "/pre.txt").status == 200


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"app.json": '{\n "env": {"A": 1},\n "cron": [}\n'}, "app.json:3: "),
        ({"app.json": '{"env": {"PORT": "1"}}'}, "app.json:1: env/PORT: PORT is set by paas itself"),
        ({"app.json": '{"scripts": {"dokku": {"predeploy": "touch /www/bad; exit 3"}}}'}, "predeploy task failed"),
        (
            {"app.json": "{}", "Procfile": "web: exec httpd -f -p $PORT -h /www\nrelease: exit 4\n"},
            "release task failed",
        ),
        (
            {
                "Procfile": "web: exec httpd -f -p $PORT -h /www\n",
                "app.json": '{"scripts": {"dokku": {"postdeploy": "false"}}}',
            },
            "postdeploy task failed",
        ),
        ({"app.json": '{"formation": {"web": {"quantity": -1}}}'}, "app.json:1: formation/web/quantity: "),
    ],
)
def test_what_fails_changes_nothing(
    machine: Machine, client: Client, repository: Repository, files: dict[str, str], message: str
) -> None:
    before = state(client)
    repository.commit(files)
    refused = repository.push(APP, check=False)
    assert refused.status != 0 and message in refused.error, refused.error
    assert "remote rejected" in refused.error
    assert state(client) == before
    assert machine.get(APP).text == "one\n"


def test_where_app_json_is(client: Client, repository: Repository) -> None:
    assert client.ssh("app-json:set", APP, "appjson-path", "../app.json", check=False).status == 1
    assert client.ssh("app-json:set", "missing-app", "appjson-path", "x", check=False).status == 20
    client.ssh("app-json:set", APP, "appjson-path", "deploy/my app.json")
    report = json.loads(client.ssh("app-json:report", APP, "--format", "json").text)
    assert report["app-json-computed-appjson-path"] == "deploy/my app.json"
    repository.commit({"app.json": "broken", "deploy/my app.json": "[]"})
    refused = repository.push(APP, check=False)
    assert "deploy/my app.json:1: has to be an object" in refused.error
