"""An engine that is killed while tasks run: nothing is left of them, and nothing has changed."""

from __future__ import annotations

import contextlib
import json
import threading

import pytest

from paas.errors import SystemFailure
from tests.conftest import MachineMaker
from tests.harness.apps import httpd
from tests.harness.client import Repository
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "killed"


@pytest.fixture
def machine(new_machine: MachineMaker) -> Machine:
    return new_machine()


def test_killed_in_a_task(machine: Machine) -> None:
    client = machine.client()
    repository = client.repository(APP, httpd("one"))
    repository.push(APP)
    script = "echo x > /www/mark; sleep 300"
    for files in (
        {"Procfile": f"web: exec httpd -f -p $PORT -h /www\nrelease: {script}\n"},
        {"Procfile": "", "app.json": json.dumps({"scripts": {"dokku": {"predeploy": script}}})},
    ):
        before = client.ssh("releases", APP, "--format", "json").text
        present, kept = names(machine, "containers"), names(machine, "layers")
        repository.commit(files)
        kill_in_push(machine, repository)
        assert machine.get(APP).text == "one\n"
        assert client.ssh("releases", APP, "--format", "json").text == before
        wait_until(lambda: not runs(machine), "the task's process is gone")
        assert names(machine, "containers") == present
        left = names(machine, "layers") - kept
        assert not any(name.startswith(".tmp") for name in left), "no half-made layer is left"
    repository.commit({"app.json": "{}", "index.html": "two\n"})
    repository.push(APP)
    assert machine.get(APP).text == "two\n"


def names(machine: Machine, directory: str) -> set[str]:
    return {path.name for path in (machine.data_dir / directory).iterdir()}


def runs(machine: Machine) -> bool:
    return machine.run(["pgrep", "--full", "^sleep 300$"], check=False).status == 0


def kill_in_push(machine: Machine, repository: Repository) -> None:
    """Push, kill the engine when the task runs, start another."""

    def push() -> None:
        with contextlib.suppress(SystemFailure):
            repository.push(APP, check=False)

    pusher = threading.Thread(target=push)
    pusher.start()
    wait_until(lambda: runs(machine), "the task runs", 60)
    machine.engine_kill()
    pusher.join(60)
    machine.engine_start()
