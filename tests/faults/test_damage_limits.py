"""Limits of an app that are run into: noticed, told, and what ended is started again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.apps import busybox_root
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "greed"
_FILES: dict[str, bytes | str] = {
    "Dockerfile": 'FROM scratch\nADD root.tar /\nCOPY run /\nCMD ["/run"]\n',
    "root.tar": busybox_root(),
    "run": "#!/bin/sh\nhttpd -p $PORT -h /www\nwhile [ ! -e /tmp/eat ]; do sleep 0.1; done\n"
    "exec dd if=/dev/zero of=/dev/null bs=200M\n",
}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine() as made:
        made.engine_start()
        made.client().repository(APP, _FILES).push(APP)
        made.paas("resource:limit", "--memory", "48m", APP)
        made.paas("docker-options:add", APP, "deploy", "--pids-limit 24")
        yield made


def events(machine: Machine) -> str:
    return " ".join(machine.paas("events").text.split())


def test_an_app_that_runs_out_of_memory_is_started_again_and_told_of(machine: Machine) -> None:
    machine.paas("enter", APP, "web", "touch", "/tmp/eat")
    wait_until(lambda: "web.1 killed: out of memory" in events(machine), "its end is an event", 20)
    wait_until(lambda: "restarted 1 times" in machine.paas("ps:report", APP).text, "it runs again", 20)
    assert "out of memory" in machine.paas("ps:report", APP).text
    assert "out of memory" in machine.paas("logs", APP, "--num", "50").text
    wait_until(lambda: machine.get(APP).status == 404, "it answers again")


def test_a_process_of_an_app_that_runs_out_of_memory_is_told_of(machine: Machine) -> None:
    words = "dd if=/dev/zero of=/dev/null bs=200M count=1 || true"
    machine.paas("enter", APP, "web", "sh", "-c", words, check=False)
    wait_until(lambda: "a process was killed: out of memory" in events(machine), "it is told", 20)
    assert "a process was killed: out of memory" in machine.paas("logs", APP, "--num", "50").text
    assert machine.get(APP).status == 404


def test_an_app_with_too_many_processes_is_told_of(machine: Machine) -> None:
    words = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26; do sleep 3 & done; wait"
    machine.paas("enter", APP, "web", "sh", "-c", words, check=False)
    wait_until(lambda: "it may have no more processes" in events(machine), "it is told", 20)
    assert machine.get(APP).status == 404
