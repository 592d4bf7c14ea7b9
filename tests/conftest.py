"""Fixtures for all tests. Those with a machine need root, Debian's packages and the account `paas`: scripts/install."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from paas.system import run as system
from tests.machine import Machine

BASE_IMAGE = "debian:bookworm"

MachineMaker = Callable[..., Machine]


@pytest.fixture(scope="session")
def base_disk() -> Iterator[Path]:
    """The data directory of an engine that has the base image and nothing else; made once, in about 20 seconds.

    With PAAS_TEST_BASE=PATH it is kept there for the next runs. Remove it when the schema or the way base images are
    made has changed under it.
    """
    try:
        pwd.getpwnam("paas")
    except KeyError:
        pytest.fail("the account `paas` is missing; run scripts/install", pytrace=False)
    kept = os.environ.get("PAAS_TEST_BASE")
    if kept and Path(kept).exists():
        yield Path(kept)
        return
    with Machine() as maker:
        maker.engine_start()
        maker.paas("images:bootstrap", BASE_IMAGE, timeout=600)
        maker.engine_stop()
        maker.power_off()
        if kept:
            system.run(["cp", "--archive", str(maker.data_dir), f"{kept}.new"], timeout=300)
            Path(f"{kept}.new").rename(kept)
        yield maker.data_dir


@pytest.fixture(scope="session")
def machine(base_disk: Path) -> Iterator[Machine]:
    """One machine for all tests, its engine running, with the base image. Give apps names of your own; leave none."""
    with Machine(disk=base_disk) as shared:
        shared.engine_start()
        yield shared


@pytest.fixture
def new_machine(base_disk: Path) -> Iterator[MachineMaker]:
    """Makes machines for one test, on and with the base image; for tests that kill engines or cut the power.

    `new_machine(SETTINGS, engine=False)`: settings by name; without an engine, unless one is wanted.
    """
    with ExitStack() as machines:

        def make(settings: dict[str, str] | None = None, *, engine: bool = True) -> Machine:
            made = machines.enter_context(Machine(settings, disk=base_disk))
            if engine:
                made.engine_start()
            return made

        yield make
