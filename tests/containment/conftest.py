"""Where attempts are made from: a container of an image, and an instance of an app; and what they are made on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from paas.network.addresses import instance_address
from tests.conftest import BASE_IMAGE
from tests.containment import probes
from tests.containment.probes import Outcome
from tests.machine import Machine

PRIVATE_PORT = "9000"
SECRET = "not for containers"
_SERVER = (
    "perl -MSocket -e 'socket(S, AF_INET, SOCK_STREAM, 6); setsockopt(S, SOL_SOCKET, SO_REUSEADDR, 1);"
    " bind(S, pack_sockaddr_in($ENV{PORT} || 7000, INADDR_ANY)); listen(S, 50); while (accept(C, S)) {"
    ' sysread(C, $_, 4096); syswrite(C, "HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n'
    "Connection: close\\r\\n\\r\\nok\\n\"); close C }'"
)
SERVER = {"Dockerfile": f"FROM {BASE_IMAGE}\nCOPY serve /serve\nCMD /serve\n", "serve": f"#!/bin/sh\nexec {_SERVER}\n"}
"""An app that answers `ok`, in perl."""


@dataclass(frozen=True, slots=True)
class Victims:
    """What stands around the attacker: containers' addresses, and what its scripts get as variables."""

    container: str
    app: str
    values: dict[str, str]


def address(machine: Machine, name: str) -> str:
    return str(json.loads(machine.paas("inspect", name).text)[0]["NetworkSettings"]["IPAddress"])


@pytest.fixture(scope="package")
def victims(machine: Machine) -> Iterator[Victims]:
    """Another container that listens on 7000, another app, a service of the host on a port of its own."""
    with ExitStack() as undo:
        container = machine.paas("run", "-d", BASE_IMAGE, "sh", "-c", f"exec {_SERVER}").text.strip()
        undo.callback(machine.paas, "rm", "-f", container, check=False)
        client = machine.client("bystander")
        client.repository("bystander", SERVER).push("bystander")
        undo.callback(machine.paas, "apps:destroy", "bystander", "--force")
        service = machine.start(["busybox", "nc", "-lk", "-p", PRIVATE_PORT, "-e", "/bin/true"])
        undo.callback(service.wait)
        undo.callback(service.terminate)
        (machine.disk / "secret").write_text(SECRET)
        (machine.disk / "secret").chmod(0o644)
        low, high = machine.settings.proxy_port_range
        at = address(machine, container)
        values = {
            "HOST": machine.address,
            "HOST_FILES": " ".join(
                map(str, (machine.disk, machine.data_dir, machine.run_dir, machine.settings.socket))
            ),
            "HOST_FILE": str(machine.disk / "secret")[1:],
            "SSH_PORT": str(machine.settings.ssh_port),
            "PRIVATE_PORT": PRIVATE_PORT,
            "PROXY_PORTS": f"{low} {low + 1} {low + 2} {low + 3} {high}",
            "VICTIM": at,
            "NOBODY": str(instance_address(machine.settings, 60000)),
            "OTHER_APP": address(machine, "bystander.web.1"),
        }
        yield Victims(at, values["OTHER_APP"], values)


@pytest.fixture(scope="package")
def image_container(machine: Machine, victims: Victims) -> dict[str, Outcome]:
    """What all probes came to in a container of the base image."""
    text = probes.script(probes.ALL, victims.values).encode()
    return probes.outcomes(machine.paas("run", "--rm", "-i", BASE_IMAGE, "bash", "-s", input=text, timeout=120).text)


@pytest.fixture(scope="package")
def app_instance(machine: Machine, victims: Victims) -> Iterator[dict[str, Outcome]]:
    """What all probes came to in an instance of an app."""
    client = machine.client("intruder")
    client.repository("intruder", SERVER).push("intruder")
    text = probes.script(probes.ALL, victims.values).encode()
    try:
        done = machine.paas("exec", "-i", "intruder.web.1", "bash", "-s", input=text, timeout=120)
        yield probes.outcomes(done.text)
    finally:
        machine.paas("apps:destroy", "intruder", "--force")


Inside = Callable[..., str]


@pytest.fixture
def inside(machine: Machine) -> Inside:
    """`inside(*FLAGS, SCRIPT)`: what a shell script prints in a container of the base image, both streams."""

    def run(*words: str) -> str:
        done = machine.paas("run", "--rm", *words[:-1], BASE_IMAGE, "bash", "-c", words[-1], check=False, timeout=60)
        return done.text + done.error

    return run
