"""An app with cron tasks, deployed early: a minute passes while other tests run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.machine import Machine

TIMED = "timed"
TASKS = [
    {"command": "sh -c 'echo \"it is $GREETING\"; echo ran >> /data/ran; exit 3'", "schedule": "@yearly"},
    {"command": "sleep 300", "schedule": "0 0 1 1 *", "concurrency_policy": "forbid"},
    {"command": "echo every minute", "schedule": "* * * * *"},
    {"command": "sleep 4711", "schedule": "@monthly", "concurrency_policy": "replace"},
    {"command": "echo never", "schedule": "@daily", "maintenance": True},
]


@pytest.fixture(scope="package")
def timer(machine: Machine) -> Client:
    return machine.client("timer")


@pytest.fixture(scope="package")
def timed(machine: Machine, timer: Client) -> Iterator[Repository]:
    machine.paas("apps:create", TIMED)
    machine.paas("storage:mount", TIMED, "timed-data:/data")
    machine.paas("config:set", TIMED, "GREETING=a 'quoted' word")
    made = timer.repository(TIMED, httpd("one") | {"app.json": json.dumps({"cron": TASKS})})
    made.push(TIMED)
    yield made
    machine.paas("apps:destroy", TIMED, "--force")
