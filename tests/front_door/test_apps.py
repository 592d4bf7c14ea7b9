"""Apps as a noun: copies, locks, names, who may make them by a push; and their logs over deploys."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from paas.paths import Paths
from paas.state.copying import COPIED, STAYING, tables_of_apps
from paas.state.database import Database
from paas.system import run as system
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP, COPY = "noun", "noun-copy"
_SLOW_TO_END = (
    "FROM scratch\nADD root.tar /\nCOPY index.html /www/\n"
    'CMD ["/bin/sh", "-c", "echo hello from $MARK; exec httpd -f -p $PORT -h /www"]\n'
)


def talking(message: str) -> dict[str, bytes | str]:
    return {**httpd(message), "Dockerfile": _SLOW_TO_END}


@pytest.fixture(scope="module")
def client(machine: Machine) -> Client:
    return machine.client("noun", admin=True)


@pytest.fixture(scope="module")
def repository(machine: Machine, client: Client) -> Iterator[Repository]:
    client.ssh("apps:create", APP)
    client.ssh("config:set", APP, "MARK=first")
    made = client.repository(APP, talking("one"))
    made.push(APP)
    yield made
    for app in client.ssh("apps:list", "--quiet").text.split():
        if app.startswith("noun"):
            machine.paas("apps:destroy", app, "--force")


def test_every_table_of_apps_is_copied_or_not(tmp_path: object) -> None:
    db = Database(Paths(tmp_path, tmp_path).database)  # type: ignore[arg-type]
    try:
        assert tables_of_apps(db) == sorted([*COPIED, *STAYING])
    finally:
        db.close()


def test_a_clone_serves_the_same_image(machine: Machine, client: Client, repository: Repository) -> None:
    client.ssh("domains:add", APP, "noun.example.com")
    client.ssh("builder:set", APP, "memory", "900m")
    done = client.ssh("apps:clone", APP, COPY)
    assert f"http://{COPY}.paas.test" in done.text
    assert machine.get(COPY).text == machine.get(APP).text == "one\n"
    reports = [json.loads(client.ssh("apps:report", app, "--format", "json").text) for app in (APP, COPY)]
    assert reports[0]["app-image"] == reports[1]["app-image"] and reports[1]["app-release"] == 1
    assert client.ssh("config:get", COPY, "MARK").text == "first\n"
    assert "943718400" in client.ssh("builder:report", COPY).text
    assert "noun.example.com" not in client.ssh("domains:report", COPY).text
    assert client.ssh("ps:rebuild", COPY).status == 0, "its repository was copied"
    assert client.ssh("apps:clone", APP, COPY, check=False).status == 1
    assert client.ssh("apps:clone", "--ignore-existing", APP, COPY).status == 0
    client.ssh("apps:clone", "--skip-deploy", APP, "noun-idle")
    idle = json.loads(client.ssh("apps:report", "noun-idle", "--format", "json").text)
    assert idle["app-deployed"] is False
    assert client.ssh("apps:clone", "nounn", "noun-x", check=False).status == 20
    client.ssh("domains:remove", APP, "noun.example.com")


def test_a_clone_that_fails_leaves_nothing(client: Client, repository: Repository, machine: Machine) -> None:
    client.ssh("config:set", "--no-restart", APP, "PORT_OF_NOTHING=1")
    client.ssh("apps:create", "noun-taken")
    assert client.ssh("apps:clone", APP, "noun-taken", check=False).status == 1
    assert client.ssh("config:show", "noun-taken", "--format", "json").text == "{}\n"
    assert client.ssh("apps:clone", APP, "Not-A-Name", check=False).status == 1
    client.ssh("config:unset", "--no-restart", APP, "PORT_OF_NOTHING")
    files = talking("picky")
    files["Procfile"] = 'web: [ "$PAAS_APP" = noun-picky ] || exit 7; exec httpd -f -p $PORT -h /www\n'
    picky = client.repository("noun-picky", files)
    picky.push("noun-picky")
    directories = sorted(path.name for path in (machine.data_dir / "repos").iterdir())
    failed = client.ssh("apps:clone", "noun-picky", "noun-copied", check=False)
    assert failed.status == 1 and "7" in failed.error, failed.error
    assert client.ssh("apps:exists", "noun-copied", check=False).status == 20
    assert sorted(path.name for path in (machine.data_dir / "repos").iterdir()) == directories
    assert machine.get("noun-picky").text == "picky\n"
    assert "noun-copied" not in client.ssh("ps", "-a").text
    client.ssh("apps:create", "noun-copied")


def test_a_locked_app_refuses_pushes_and_changes(machine: Machine, client: Client, repository: Repository) -> None:
    assert client.ssh("apps:locked", APP, check=False).status == 1
    client.ssh("apps:lock", APP)
    try:
        assert client.ssh("apps:locked", APP).status == 0
        assert json.loads(client.ssh("apps:report", APP, "--format", "json").text)["app-locked-by"] == "noun"
        assert "locked already by noun" in client.ssh("apps:lock", APP, check=False).error
        before = repository.git("ls-remote", client.url(APP)).text
        repository.commit({"index.html": "two\n"})
        for branch in ("master", "feature"):
            push = repository.push(APP, branch, check=False)
            assert push.status != 0
            assert "locked by noun since" in push.error and f"apps:unlock {APP}" in push.error
        assert repository.git("ls-remote", client.url(APP)).text == before
        for words in (
            ["config:set", APP, "B=1"],
            ["ps:scale", APP, "web=2"],
            ["ps:restart", APP],
            ["domains:add", APP, "x.example.com"],
            ["apps:rename", APP, "noun-else"],
            ["apps:destroy", APP, "--force"],
            ["git:set", APP, "deploy-branch", "x"],
        ):
            done = client.ssh(*words, check=False)
            assert done.status == 1 and "locked by noun since" in done.error, words
        assert client.ssh("config:show", APP).status == client.ssh("ps:scale", APP).status == 0
        assert client.ssh("run", APP, "echo", "still").text == "still\n"
        assert machine.get(APP).text == "one\n"
    finally:
        client.ssh("apps:unlock", APP)
    repository.push(APP)
    assert machine.get(APP).text == "two\n"


def test_changes_queue_behind_a_deploy(client: Client, repository: Repository, machine: Machine) -> None:
    """Config, scale and rename while a push is under way: each waits, says so, and has its effect."""
    slow = {"Dockerfile": _SLOW_TO_END.replace("COPY", "RUN sleep 2; echo built\nCOPY"), "index.html": "three\n"}
    repository.commit(slow)
    pushing = threading.Thread(target=repository.push, args=(APP,))
    pushing.start()
    wait_until(lambda: '"building"' in client.ssh("builds:list", APP, "--format", "json").text, "it builds")
    said: dict[str, str] = {}

    def change(*words: str) -> None:
        said[words[0]] = client.ssh(*words).text

    threads = [
        threading.Thread(target=change, args=words)
        for words in (("config:set", APP, "C=1"), ("ps:scale", APP, "web=2"), ("domains:add", APP, "q.example.com"))
    ]
    for thread in threads:
        thread.start()
    busy = client.ssh("apps:destroy", APP, "--force", check=False)
    assert busy.status == 1 and "busy" in busy.error
    for thread in (pushing, *threads):
        thread.join()
    assert all("Waiting for" in text for text in said.values())
    assert machine.get(APP).text == "three\n"
    assert client.ssh("config:get", APP, "C").text == "1\n"
    assert json.loads(client.ssh("ps:scale", APP, "--format", "json").text) == {"web": 2}
    assert "q.example.com" in client.ssh("domains:report", APP).text
    client.ssh("ps:scale", APP, "web=1")


def test_logs_outlive_deploys_and_restarts(client: Client, repository: Repository, machine: Machine) -> None:
    client.ssh("config:set", APP, "MARK=second")
    client.ssh("ps:restart", APP)
    wait_until(lambda: "hello from second" in client.ssh("logs", APP).text, "its first line is there")
    wait_until(lambda: "hello from first" in client.ssh("logs", APP, "-n", "all").text, "the former ones are kept")
    text = client.ssh("logs", APP, "-q").text.splitlines()
    assert text.index("hello from first") < text.index("hello from second"), "in the order of time"
    found = client.ssh("logs", APP, "--grep", "from first", "-q").text.splitlines()
    assert found and set(found) == {"hello from first"}
    assert client.ssh("logs", APP, "--since", "2030-01-01T00:00:00Z").text == ""
    assert len(client.ssh("logs", APP, "-n", "1").text.splitlines()) == 1
    assert "app[web.1]: hello from" in client.ssh("logs", APP, "-p", "web").text
    assert client.ssh("logs", APP, "-p", "nothing", check=False).status == 1
    assert client.ssh("logs", "nounless", check=False).status == 20


def test_followed_logs_go_on_over_a_deploy(client: Client, repository: Repository, machine: Machine) -> None:
    where = ["-p", str(machine.settings.ssh_port), f"dokku@{machine.address}"]
    tail = system.start([*client.ssh_argv, "-n", *where, f"logs {APP} -t -q"], stdout=system.PIPE)
    try:
        client.ssh("config:set", APP, "MARK=third")
        assert tail.stdout is not None
        assert b"hello from third\n" in iter(tail.stdout.readline, b"")
    finally:
        tail.terminate()
        tail.wait(10)


def test_logs_of_a_failed_deploy(client: Client, repository: Repository, machine: Machine) -> None:
    assert client.ssh("logs:failed", APP, check=False).status == 1
    repository.commit({"Dockerfile": _SLOW_TO_END.replace("exec httpd", "echo it cannot; exit 3; exec httpd")})
    assert repository.push(APP, check=False).status != 0
    assert "it cannot" in client.ssh("logs:failed", APP).text
    assert f"=====> {APP} web.1" in client.ssh("logs:failed", "--all").text
    assert machine.get(APP).text == "three\n"


def test_properties_of_logs(client: Client, repository: Repository) -> None:
    client.ssh("logs:set", APP, "max-size", "20m")
    report = json.loads(client.ssh("logs:report", APP, "--format", "json").text)
    assert report["logs-max-size"] == "20m" and report["logs-computed-max-size"] == 20 << 20
    refused = client.ssh("logs:set", APP, "vector-sink", "console://", check=False)
    assert refused.status == 1 and "no log shipper" in refused.error
    assert client.ssh("logs:set", APP, "max-size", "lots", check=False).status == 1
    client.ssh("logs:set", APP, "max-size")


def test_apps_are_not_made_by_pushes_where_that_is_disabled(client: Client, repository: Repository) -> None:
    client.ssh("apps:set", "--global", "disable-autocreation", "true")
    try:
        push = repository.push("noun-unmade", check=False)
        assert push.status != 0 and "auto-creation is disabled" in push.error
        assert "apps:create noun-unmade" in push.error
        assert client.ssh("apps:exists", "noun-unmade", check=False).status == 20
    finally:
        client.ssh("apps:set", "--global", "disable-autocreation")


def test_a_renamed_app_keeps_its_roles(client: Client, machine: Machine, repository: Repository) -> None:
    client.ssh("apps:create", "noun-before")
    machine.client("noun-friend")
    client.ssh("access:add", "noun-friend", "view", "noun-before")
    client.ssh("apps:rename", "--skip-deploy", "noun-before", "noun-after")
    assert '"app": "noun-after"' in client.ssh("access:list", "noun-friend", "--format", "json").text
    client.ssh("apps:destroy", "noun-after", "--force")
    client.ssh("apps:create", "noun-after")
    assert client.ssh("access:list", "noun-friend", "--format", "json").text == "[]\n", "a new app, new roles"
