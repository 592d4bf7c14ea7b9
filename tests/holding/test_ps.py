"""ps:*, scheduler:*: how processes are held, and what happens at their end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from paas.runtime import cgroups
from tests.harness.waiting import wait_until
from tests.holding.conftest import APP, Held


def computed(held: Held, key: str, noun: str = "ps") -> object:
    return held.json(f"{noun}:report", APP)[f"{noun}-computed-{key}"]


def state(held: Held, name: str) -> str:
    return str(held.json("ps:report", APP).get(f"status-{name}", ""))


def test_restart_policies(held: Held) -> None:
    first, before = held.current(), held.ids()
    assert computed(held, "restart-policy") == "always"
    held.ssh("ps:set", APP, "restart-policy", "no")
    assert held.ids() == before and computed(held, "restart-policy") == "no"
    held.inside("worker.1", "sh", "-c", "kill -9 $(grep -l ^sleep /proc/[0-9]*/cmdline | head -1 | cut -d/ -f3)")
    wait_until(lambda: state(held, "worker.1").startswith("ended"), "it stays down")
    listed = json.loads(held.ssh("ps:inspect", APP))
    assert {entry["State"]["Running"] for entry in listed} == {True, False}
    assert "Restored" in held.ssh("ps:restore", APP)
    assert set(held.ids()) == {"web.1", "worker.1"}
    held.ssh("ps:set", APP, "restart-policy", "on-failure:5")
    held.inside("worker.1", "sh", "-c", "kill -9 $(grep -l ^sleep /proc/[0-9]*/cmdline | head -1 | cut -d/ -f3)")
    wait_until(lambda: "restarted 1 times" in str(held.json("ps:report", APP)), "it is restarted", 20)
    held.ssh("releases:rollback", APP, str(first))
    assert computed(held, "restart-policy") == "always"


def test_what_is_not_to_be_restored(held: Held) -> None:
    first, id = held.current(), held.ids()["worker.1"]
    held.ssh("ps:set", APP, "restore", "false")
    held.machine.engine_kill()
    pids = Path("/sys/fs/cgroup", *controller(), held.machine.name, id, "cgroup.procs").read_text().split()
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: not any(Path("/proc", pid).exists() for pid in pids), "its processes are gone")
    held.machine.engine_start()
    assert state(held, "worker.1").startswith("ended") and state(held, "web.1").startswith("running")
    assert held.ssh("ps:restore") == "", "it is not to be restored, unless it is named"
    held.ssh("ps:restore", APP)
    assert held.ids()["worker.1"] != id
    held.ssh("releases:rollback", APP, str(first))


def controller() -> list[str]:
    return [] if cgroups.detect() is cgroups.Kind.V2 else ["memory"]


def test_start_cmd_and_stop_timeout(held: Held) -> None:
    first, before = held.current(), held.ids()
    held.ssh("ps:set", APP, "stop-timeout-seconds", "1")
    held.ssh("ps:set", APP, "start-cmd", 'echo "it\'s  $DYNO" >/www/said; exec httpd -f -p $PORT -h /www')
    assert held.machine.get(APP, "/said").text == "it's  web.1\n"
    after = held.ids()
    assert after["worker.1"] == before["worker.1"] and after["web.1"] != before["web.1"]
    held.ssh("ps:set", APP, "dockerfile-start-cmd", "echo docker >/www/said; exec httpd -f -p $PORT -h /www")
    assert held.machine.get(APP, "/said").text == "docker\n"
    held.ssh("releases:rollback", APP, str(first))
    assert held.machine.get(APP, "/said").status == 404
    assert computed(held, "stop-timeout-seconds") == 30


def test_init_and_shell(held: Held) -> None:
    first = held.current()
    assert held.inside("web.1", "cat", "/proc/1/cmdline").startswith("/dev/init")
    held.ssh("scheduler-docker-local:set", APP, "init-process", "false")
    assert held.inside("web.1", "cat", "/proc/1/cmdline").startswith("httpd")
    held.ssh("scheduler-docker-local:set", APP, "parallel-schedule-count", "-1")
    held.ssh("ps:restart", APP)
    held.ssh("scheduler:set", APP, "shell", "/bin/ls")
    assert "www" in held.ssh("enter", APP, "web")
    assert computed(held, "selected", "scheduler") == "docker-local"
    held.refused("scheduler:set", APP, "selected", "k3s")
    held.refused("scheduler:set", APP, "shell", "sh -c x")
    held.ssh("scheduler:set", APP, "shell")
    held.ssh("releases:rollback", APP, str(first))
    assert held.inside("web.1", "cat", "/proc/1/cmdline").startswith("/dev/init")


def test_scale_touches_only_what_changes(held: Held) -> None:
    before = held.ids()
    held.ssh("ps:scale", "--skip-deploy", APP, "web=2", "worker=2")
    assert held.ids() == before
    assert "qty" in held.ssh("ps:scale", APP)
    held.ssh("ps:scale", APP, "web=2", "worker=1")
    after = held.ids()
    assert before.items() <= after.items() and set(after) == {"web.1", "web.2", "worker.1"}
    held.ssh("ps:scale", APP, "web=1")
    assert held.ids() == before


def test_a_procfile_elsewhere_and_pushes_that_only_build(held: Held, repository: object) -> None:
    from tests.harness.client import Repository

    assert isinstance(repository, Repository)
    first, before = held.current(), held.ids()
    held.ssh("ps:set", APP, "skip-deploy", "true")
    held.ssh("ps:set", APP, "procfile-path", "deploy/Procfile")
    repository.commit({"index.html": "later\n"})
    assert "skip-deploy" in repository.push(APP).error
    assert held.ids() == before and held.machine.get(APP).text == "held\n"
    held.ssh("ps:set", APP, "skip-deploy")
    held.ssh("ps:rebuild", APP)
    assert held.machine.get(APP).text == "later\n" and set(held.ids()) == {"web.1"}
    held.ssh("ps:set", APP, "procfile-path", "nowhere/Procfile")
    repository.commit({"index.html": "never\n"})
    assert "nowhere/Procfile" in repository.push(APP, check=False).error
    held.ssh("ps:set", APP, "procfile-path")
    held.ssh("releases:rollback", APP, str(first))
    assert set(held.ids()) == {"web.1", "worker.1"}


def test_many_at_once(held: Held) -> None:
    before = held.ids()
    text = held.ssh("ps:restart", "--all", "--parallel", "2")
    assert f"{APP}: -----> Restarted {APP}" in text
    assert not set(held.ids().values()) & set(before.values())
    held.refused("ps:restart", status=2)
    held.refused("ps:restart", APP, "--all", status=2)
    held.refused("ps:stop", "--all", "--parallel", "0")
    held.ssh("ps:stop", "--all")
    assert held.json("ps:report", APP)["running"] is False
    held.ssh("ps:start", "--all")
    assert held.machine.get(APP).text == "held\n"
    assert "to end" in held.ssh("ps:retire")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("restart-policy", "sometimes"),
        ("restart-policy", "always:3"),
        ("stop-timeout-seconds", "-1"),
        ("stop-timeout-seconds", "soon"),
        ("procfile-path", "../Procfile"),
        ("skip-deploy", "perhaps"),
        ("colour", "red"),
    ],
)
def test_bad_values(held: Held, key: str, value: str) -> None:
    before = held.json("ps:report", APP)
    held.refused("ps:set", APP, key, value)
    held.refused("ps:set", "missing-app", key, value, status=20)
    assert held.json("ps:report", APP) == before
