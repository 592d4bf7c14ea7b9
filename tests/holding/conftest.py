"""An app with two process types, and what can be seen of its containers from the host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paas.runtime import cgroups
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.machine import Machine

APP = "held"
FILES = {
    **httpd("held"),
    "Procfile": "web: exec httpd -f -p $PORT -h /www\nworker: exec sleep 100000\n",
    "deploy/Procfile": "web: cp /proc/self/cmdline /www/cmdline; exec httpd -f -p $PORT -h /www\n",
}


class Held:
    def __init__(self, machine: Machine, client: Client) -> None:
        self.machine = machine
        self.client = client

    def ssh(self, *words: str) -> str:
        return self.client.ssh(*words).text

    def refused(self, *words: str, status: int = 1) -> str:
        """What is said about a command that has to fail."""
        done = self.client.ssh(*words, check=False)
        assert done.status == status, done.error
        return done.error

    def json(self, *words: str) -> Any:
        return json.loads(self.ssh(*words, "--format", "json"))

    def ids(self, app: str = APP) -> dict[str, str]:
        """Container ids by name of the instances that serve."""
        report = json.loads(self.ssh("ps:report", app, "--format", "json"))
        serving = {k: v for k, v in report.items() if str(v).startswith(("running", "crashed", "ended"))}
        full = {entry["Id"][:12]: entry["Id"] for entry in json.loads(self.ssh("ps:inspect", app))}
        names = {key: key.removeprefix("status-") for key in serving}  # a draining one may have taken the plain name
        return {re.sub("-[0-9a-f]{6}$", "", names[k]): full[v.split()[2].strip(",")] for k, v in serving.items()}

    def inside(self, name: str, *words: str) -> str:
        """The output of a command in an instance."""
        return self.machine.paas("exec", f"{APP}.{name}", *words).text

    def current(self) -> int:
        return next(int(entry["number"]) for entry in self.json("releases", APP) if entry["current"])

    def cgroup(self, id: str, controller: str, v1: str, v2: str) -> str:
        """A file of a container's cgroup, whichever kind the host has."""
        if cgroups.detect() is cgroups.Kind.V2:
            return (Path("/sys/fs/cgroup", self.machine.name, id) / v2).read_text().strip()
        return (Path("/sys/fs/cgroup", controller, self.machine.name, id) / v1).read_text().strip()


@pytest.fixture(scope="package")
def client(machine: Machine) -> Client:
    return machine.client("holder")


@pytest.fixture(scope="package")
def repository(machine: Machine, client: Client) -> Iterator[Repository]:
    made = client.repository(APP, FILES)
    made.push(APP)
    yield made
    machine.paas("apps:destroy", APP, "--force")


@pytest.fixture(scope="package")
def held(machine: Machine, client: Client, repository: Repository) -> Held:
    client.ssh("ps:scale", APP, "worker=1")
    return Held(machine, client)
