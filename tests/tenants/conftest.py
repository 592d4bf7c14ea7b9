"""Two apps on one machine: the victim's, and that of mallory, who deploys one app and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from paas.system.run import Completed
from tests.harness.apps import echo, httpd
from tests.harness.client import Client
from tests.machine import Machine

OURS, VICTIM = "tn-mallory", "tn-victim"
VICTIM_HOST = "victim.example"


@dataclass(frozen=True)
class Tenants:
    root: Machine
    mallory: Client
    """Deploys `tn-mallory`."""
    owner: Client
    """Deploys `tn-victim`."""

    def refused(self, *command: str, input: bytes | None = None, timeout: float = 60.0) -> str:
        """What mallory is told; fails when the command is let through."""
        done = self.mallory.ssh(*command, input=input, check=False, timeout=timeout)
        assert done.status != 0, f"{command} was let through: {done.text}"
        return done.error

    def push(self, name: str, files: dict[str, bytes | str], app: str = OURS) -> Completed:
        """A push of these files alone by the app's deployer, which may fail."""
        client = self.mallory if app == OURS else self.owner
        repository = client.repository(name, files)
        return repository.push(app, "master", "--force", check=False)


@pytest.fixture(scope="package")
def tenants(machine: Machine) -> Iterator[Tenants]:
    """`tn-victim` says `victim` at tn-victim.paas.test and victim.example; `tn-mallory` shows the request it got."""
    made = Tenants(machine, machine.client("tn-mallory"), machine.client("tn-owner"))
    for app in (OURS, VICTIM):
        machine.paas("apps:create", app)
    machine.paas("access:add", "tn-mallory", "deploy", OURS)
    machine.paas("access:add", "tn-owner", "deploy", VICTIM)
    assert made.push("first", echo()).status == 0
    assert made.push("first", httpd("victim"), VICTIM).status == 0
    made.owner.ssh("domains:add", VICTIM, VICTIM_HOST)
    yield made
    for app in (OURS, VICTIM):
        machine.paas("apps:destroy", app, "--force")
