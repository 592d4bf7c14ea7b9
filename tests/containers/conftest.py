"""Containers on the shared machine: whatever a test makes is removed after it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas.system.run import Completed
from tests.build.conftest import TINY, write
from tests.build.conftest import tiny as tiny
from tests.conftest import MachineMaker
from tests.harness.apps import busybox_root
from tests.harness.client import Client
from tests.machine import Machine

Paas = Callable[..., Completed]


def remove_all(machine: Machine) -> None:
    ids = [line.split()[0] for line in machine.paas("ps", "-a").text.splitlines()[1:] if ".web." not in line]
    if ids:
        machine.paas("rm", "-f", *ids)


@pytest.fixture
def paas(machine: Machine, tiny: str) -> Iterator[Paas]:
    """`paas(*WORDS, input=None, check=True)`, with an image `tiny:1`; containers are removed afterwards."""
    yield machine.paas
    remove_all(machine)


@pytest.fixture(scope="session")
def stranger(machine: Machine) -> Client:
    """Someone whose key is no admin's."""
    return machine.client("stranger")


@pytest.fixture(scope="session")
def keeper(machine: Machine) -> Client:
    return machine.client("keeper", admin=True)


@pytest.fixture
def fresh(new_machine: MachineMaker) -> Machine:
    """A machine of one's own, to be killed and switched off, with `tiny:1`."""
    machine = new_machine()
    place = machine.disk / "tiny"
    write(place, {"Dockerfile": "FROM scratch\nADD root.tar /\nENV PATH=/bin\n", "root.tar": busybox_root()})
    machine.paas("build", "-t", TINY, str(place))
    return machine


def status(paas: Paas, name: str) -> str:
    """What `ps -a` says of a container; '' when it is not there."""
    for line in paas("ps", "-a").text.splitlines()[1:]:
        columns = [column for column in line.split("   ") if column.strip()]
        if columns[-1].strip() == name:
            return columns[4].strip()
    return ""


@pytest.fixture
def tmp_path_of(machine: Machine) -> Path:
    """An empty directory on the machine."""
    return Path(tempfile.mkdtemp(dir=machine.disk))
