"""Restart policies and health checks."""

from __future__ import annotations

import json
import time

import pytest

from paas.model import Restart
from tests.build.conftest import write
from tests.containers.conftest import Paas, status
from tests.harness.waiting import wait_until
from tests.machine import Machine


def runs(paas: Paas, name: str) -> int:
    return paas("logs", name).text.count("run")


def test_on_failure_restarts_so_often_and_no_more(paas: Paas) -> None:
    paas("run", "-d", "--name", "fails", "--restart", "on-failure:2", "tiny:1", "sh", "-c", "echo run; exit 1")
    wait_until(lambda: status(paas, "fails").startswith("Exited (1)") and runs(paas, "fails") == 3, "it gave up")
    paas("run", "-d", "--name", "works", "--restart", "on-failure", "tiny:1", "sh", "-c", "echo run")
    wait_until(lambda: status(paas, "works").startswith("Exited (0)"), "it ended")
    (seen,) = json.loads(paas("inspect", "fails").text)
    assert seen["RestartCount"] == 2
    time.sleep(0.5)
    assert (runs(paas, "fails"), runs(paas, "works")) == (3, 1)


def test_always_waits_longer_each_time_until_it_is_stopped(paas: Paas) -> None:
    paas("run", "-d", "--name", "ends", "--restart", "always", "tiny:1", "sh", "-c", "echo run; exit 3")
    wait_until(lambda: runs(paas, "ends") == 2, "it was restarted")
    time.sleep(3)
    assert runs(paas, "ends") < 8
    wait_until(lambda: status(paas, "ends").startswith("Restarting (3)"), "it waits")
    paas("stop", "-t", "0", "ends")
    count = runs(paas, "ends")
    assert status(paas, "ends").startswith("Exited (3)")
    time.sleep(3.5)
    assert runs(paas, "ends") == count
    assert paas("run", "--rm", "--restart", "always", "tiny:1", "sh", check=False).status == 2


def test_policies_hold_over_engines_and_power_cuts(fresh: Machine) -> None:
    paas = fresh.paas
    for name, policy in (("always", "always"), ("unless", "unless-stopped"), ("failure", "on-failure"), ("no", "no")):
        for stopped in (False, True):
            called = f"{name}-stopped" if stopped else name
            paas("run", "-d", "--name", called, "--restart", policy, "tiny:1", "sleep", "600")
            if stopped:
                paas("stop", "-t", "0", called)
    paas("run", "-d", "--name", "died", "--restart", "unless-stopped", "tiny:1", "sleep", "600")
    pid = json.loads(paas("inspect", "died").text)[0]["State"]["Pid"]
    fresh.engine_kill()
    fresh.run(["kill", "-KILL", str(pid)])
    fresh.engine_start()
    wait_until(lambda: status(paas, "died").startswith("Up "), "what ended without an engine is restarted")

    fresh.power_off()
    fresh.boot()
    fresh.engine_start()

    for name in ("always", "always-stopped", "unless", "failure", "died"):
        wait_until(lambda name=name: status(paas, name).startswith("Up "), f"{name} is back")  # type: ignore[misc]
    for name in ("unless-stopped", "failure-stopped", "no", "no-stopped"):
        assert status(paas, name).startswith("Exited"), name


def test_health(paas: Paas, machine: Machine) -> None:
    place = machine.disk / "checked"
    check = "HEALTHCHECK --interval=1s --timeout=1s --retries=2 CMD echo looking; grep -q good /state"
    write(place, {"Dockerfile": f'FROM tiny:1\n{check}\nCMD ["sleep", "600"]\n'})
    paas("build", "-t", "checked:1", str(place))
    paas("run", "-d", "--name", "checked", "checked:1")
    assert status(paas, "checked").endswith("(health: starting)")
    wait_until(lambda: status(paas, "checked").endswith("(unhealthy)"), "it is unhealthy")
    paas("exec", "checked", "sh", "-c", "echo good >/state")
    wait_until(lambda: status(paas, "checked").endswith("(healthy)"), "it is healthy")
    health = json.loads(paas("inspect", "checked").text)[0]["State"]["Health"]
    assert health["Status"] == "healthy" and health["Log"][-1]["Output"] == "looking\n"
    machine.engine_kill()
    machine.engine_start()
    assert status(paas, "checked").endswith("(healthy)")
    paas("exec", "checked", "sh", "-c", "rm /state; mkfifo /state")  # a check that does not come back
    wait_until(lambda: status(paas, "checked").endswith("(unhealthy)"), "it is unhealthy again")
    paas("stop", "-t", "0", "checked")
    assert status(paas, "checked").endswith(" ago")


@pytest.mark.parametrize(
    ("policy", "code", "restarts", "stopped", "wanted"),
    [
        (Restart("no"), 1, 0, False, False),
        (Restart("always"), 0, 9, False, True),
        (Restart("always"), 0, 9, True, False),
        (Restart("unless-stopped"), 0, 9, False, True),
        (Restart("on-failure"), 0, 0, False, False),
        (Restart("on-failure"), 255, 99, False, True),
        (Restart("on-failure", 3), 1, 2, False, True),
        (Restart("on-failure", 3), 1, 3, False, False),
        (Restart("on-failure", 3), 1, 0, True, False),
    ],
)
def test_when_a_restart_is_wanted(policy: Restart, code: int, restarts: int, stopped: bool, wanted: bool) -> None:
    assert policy.wanted(code, restarts, stopped=stopped) is wanted
