"""Cron tasks, through the front door."""

from __future__ import annotations

import json
from typing import Any

from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.hooks.conftest import TIMED
from tests.machine import Machine


def listed(timer: Client) -> dict[str, dict[str, Any]]:
    found = json.loads(timer.ssh("cron:list", TIMED, "--format", "json").text)
    return {entry["command"].split()[0] + entry["command"].split()[1]: entry for entry in found}


def test_tasks(timer: Client, timed: Repository) -> None:
    tasks = listed(timer)
    assert [t["schedule"] for t in tasks.values()] == ["@yearly", "0 0 1 1 *", "* * * * *", "@monthly", "@daily"]
    assert tasks["echonever"]["maintenance"] and not tasks["echonever"]["next"]
    assert "Concurrency" in timer.ssh("cron:list", TIMED).text
    ran = timer.ssh("cron:run", TIMED, tasks["sh-c"]["id"], check=False)
    assert (ran.status, ran.text) == (3, "it is a 'quoted' word\n")
    assert timer.ssh("run", TIMED, "cat", "/data/ran").text == "ran\n"

    timer.ssh("cron:run", TIMED, tasks["sleep300"]["id"], "--detach")
    refused = timer.ssh("cron:run", TIMED, tasks["sleep300"]["id"], check=False)
    assert refused.status == 1 and "forbid" in refused.error
    log = wait_until(lambda: timer.ssh("logs", TIMED, "--ps", "cron").text, "the log")
    assert "app[cron]: [" in log and "it is a 'quoted' word" in log and "ended with status 3" in log

    timer.ssh("cron:suspend", TIMED, tasks["echoevery"]["id"])
    assert listed(timer)["echoevery"]["suspended"]
    timer.ssh("cron:resume", TIMED, tasks["echoevery"]["id"])
    assert not listed(timer)["echoevery"]["suspended"]
    timer.ssh("cron:set", TIMED, "maintenance", "true")
    assert all(task["maintenance"] for task in listed(timer).values())
    timer.ssh("cron:set", TIMED, "maintenance")
    mail = timer.ssh("cron:set", TIMED, "mailto", "me@example.com", check=False)
    assert mail.status == 1 and "sends no mail" in mail.error
    assert timer.ssh("cron:run", TIMED, "nothing", check=False).status == 1
    assert timer.ssh("cron:list", "missing-app", check=False).status == 20
    assert timer.ssh("cron:report", TIMED, "--format", "json").status == 0


def test_a_task_replaces_its_former_run(machine: Machine, timer: Client, timed: Repository) -> None:
    id = listed(timer)["sleep4711"]["id"]
    said = "[sleep 4711] was ended"

    def sleeping() -> list[str]:
        return machine.run(["pgrep", "-f", "^sleep 4711"], check=False).text.split()

    timer.ssh("cron:run", TIMED, id, "--detach")
    first = wait_until(sleeping, "it runs")
    timer.ssh("cron:run", TIMED, id, "--detach")
    wait_until(lambda: len(sleeping()) == 1 and sleeping() != first, "the second alone runs")
    wait_until(lambda: said in timer.ssh("logs", TIMED, "--ps", "cron").text, "the end of the first is told")
    assert machine.get(TIMED).text == "one\n"


def test_tasks_come_and_go_with_releases(timer: Client, timed: Repository) -> None:
    before = listed(timer)
    timed.commit({"app.json": '{"cron": [{"command": "echo x y", "schedule": "5 4 * * sun"}]}'})
    timed.push(TIMED)
    assert list(listed(timer)) == ["echox"]
    refused = timed.commit({"app.json": '{"cron": [\n{"command": "echo x | y", "schedule": "@daily"}]}'})
    assert refused and "app.json:2: cron/0/command: | would need a shell" in timed.push(TIMED, check=False).error
    timer.ssh("releases:rollback", TIMED)
    assert {k: v["id"] for k, v in listed(timer).items()} == {k: v["id"] for k, v in before.items()}
