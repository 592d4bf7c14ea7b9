"""What outlives an engine, and what comes back after a power cut."""

from __future__ import annotations

from tests.conftest import MachineMaker
from tests.harness.apps import httpd
from tests.harness.waiting import wait_until
from tests.machine import Machine


def deployed(machine: Machine) -> Machine:
    machine.client().repository("quick", httpd("one")).push("quick")
    assert machine.get("quick").text == machine.get_inside("quick").text == "one\n"
    return machine


def test_apps_serve_while_no_engine_runs_and_under_the_next_one(new_machine: MachineMaker) -> None:
    machine = deployed(new_machine())
    machine.engine_kill()
    assert machine.get("quick").text == "one\n"
    machine.engine_start()
    assert machine.get("quick").text == "one\n"
    assert machine.engine_stop() == 0
    assert machine.get("quick").text == "one\n"


def test_apps_come_back_after_a_power_cut_and_stay(new_machine: MachineMaker) -> None:
    machine = deployed(new_machine())
    machine.power_off()
    machine.boot()
    machine.engine_start()
    wait_until(lambda: machine.get("quick", timeout=20).status == 200, "the app is back")
    wait_until(lambda: "running" in machine.paas("ps:report", "quick").text, "its row says so")
    assert machine.get("quick", timeout=20).text == "one\n"
