from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.paths import PROJECT
from tests.harness.client import Client, Files, Repository
from tests.machine import Machine


def example(name: str) -> dict[str, bytes]:
    return _files(PROJECT / "examples" / name)


def golden(name: str) -> dict[str, bytes]:
    return _files(PROJECT / "tests/buildpacks/golden" / name / "tree")


def _files(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


class Apps:
    """Makes apps of files and pushes them; they go after the test."""

    def __init__(self, machine: Machine, client: Client, place: Path) -> None:
        self.machine = machine
        self.client = client
        self._place = place
        self.made: list[str] = []

    def make(self, name: str, files: Files) -> Repository:
        """An app that has not been pushed yet."""
        self.client.ssh("apps:create", name)
        self.made.append(name)
        return self.client.repository(f"{self._place.name}-{name}", files)

    def push(self, name: str, files: Files) -> tuple[Repository, str]:
        """The repository, and what the push said."""
        repository = self.make(name, files)
        return repository, repository.push(name, timeout=400).error

    def refused(self, name: str, files: Files) -> str:
        """What a push says that is refused."""
        done = self.make(name, files).push(name, check=False, timeout=400)
        assert done.status != 0, done.error
        return done.error


@pytest.fixture(scope="package")
def packer(machine: Machine) -> Iterator[Client]:
    machine.paas("builder:set", "--global", "trust-host-ca", "true")
    yield machine.client("packer")
    machine.paas("builder:set", "--global", "trust-host-ca")


MIRROR = 5061
"""The port of the machine's loopback on which `own_program` looks for images of docker.io; nothing listens there."""


@pytest.fixture(scope="package")
def own_program(base_disk: Path) -> Iterator[Machine]:
    """A machine whose program can be changed, in its `project`; leave it as it was."""
    with Machine({"registry_mirrors": f"http://127.0.0.1:{MIRROR}"}, disk=base_disk) as machine:
        machine.project = machine.disk / "program"
        for part in ("paas", "hooks", "nginx-templates", "buildpacks", "scripts"):
            shutil.copytree(PROJECT / part, machine.project / part, ignore=shutil.ignore_patterns("__pycache__"))
        machine.engine_start()
        machine.paas("builder:set", "--global", "trust-host-ca", "true")
        yield machine


@pytest.fixture
def apps(machine: Machine, packer: Client, tmp_path: Path) -> Iterator[Apps]:
    found = Apps(machine, packer, tmp_path)
    yield found
    for name in found.made:
        machine.paas("apps:destroy", "--force", name)
