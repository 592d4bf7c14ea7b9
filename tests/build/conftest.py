"""A tiny base image, and a way to build directories on the machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from paas.system.run import Completed
from tests.harness.apps import busybox_root
from tests.harness.client import Client
from tests.machine import Machine

TINY = "tiny:1"
Files = Mapping[str, str | bytes]
Build = Callable[..., Completed]


@pytest.fixture(scope="session")
def tiny(machine: Machine) -> str:
    """The name of an image that has busybox and nothing else."""
    place = machine.disk / "tiny"
    write(place, {"Dockerfile": "FROM scratch\nADD root.tar /\nENV PATH=/bin\n", "root.tar": busybox_root()})
    machine.paas("build", "-t", TINY, str(place))
    return TINY


@pytest.fixture
def context(machine: Machine, tiny: str) -> Path:
    """An empty directory on the machine."""
    parent = machine.disk / "contexts"
    parent.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


@pytest.fixture
def build(machine: Machine, context: Path) -> Build:
    """`build(DOCKERFILE, *WORDS, files={}, check=True)`: `paas build WORDS` of a directory with these files."""

    def run(dockerfile: str, *words: str, files: Files | None = None, check: bool = True) -> Completed:
        write(context, {"Dockerfile": dockerfile, **(files or {})})
        return machine.paas("build", *words, str(context), check=check)

    return run


@pytest.fixture(scope="session")
def admin(machine: Machine, tiny: str) -> Iterator[Client]:
    yield machine.client("builder", admin=True)


def write(place: Path, files: Files) -> None:
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
