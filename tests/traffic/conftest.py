from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness.apps import httpd, recorder
from tests.harness.client import Client, Repository
from tests.machine import DOMAIN, Machine

APP, OTHER = "traffic", "traffic-other"
SECURE = "secure.example.com"


@dataclass(frozen=True, slots=True)
class World:
    machine: Machine
    client: Client
    repository: Repository
    app: str = APP
    host: str = f"{APP}.{DOMAIN}"
    other: str = OTHER

    @property
    def noted(self) -> list[str]:
        """What the app's instances have written down."""
        return (self.machine.data_dir / "storage" / APP / "record").read_text().splitlines()

    def forget(self) -> None:
        (self.machine.data_dir / "storage" / APP / "record").write_text("")


@pytest.fixture(scope="package")
def world(machine: Machine) -> Iterator[World]:
    """An app that notes what it is asked, plain and with a certificate for one hostname; and another app."""
    client = machine.client("traffic", admin=True)
    for app in (APP, OTHER):
        client.ssh("apps:create", app)
    client.ssh("storage:ensure-directory", APP)
    client.ssh("storage:mount", APP, f"{APP}:/data")
    client.ssh("config:set", APP, "RECORD=/data/record", "RELEASE=1")
    repository = client.repository(APP, recorder())
    repository.push(APP)
    client.repository(OTHER, httpd("other")).push(OTHER)
    client.ssh("domains:add", APP, SECURE)
    client.ssh("certs:generate", APP, SECURE)
    client.ssh("nginx:set", APP, "proxy-request-buffering", "off")
    yield World(machine, client, repository)
    for app in (APP, OTHER):
        machine.paas("apps:destroy", app, "--force")
