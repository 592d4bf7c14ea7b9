"""Fixtures for all tests. Those with a machine need root, Debian's packages and the account `paas`: scripts/install."""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from paas.system import run as system
from tests.harness.link import forwarding
from tests.machine import Machine

BASE_IMAGE = "debian:bookworm"
_TOGETHER = {
    *("network", "runtime", "proxy", "image", "registry", "ssh"),  # they make things on this host itself
    *("buildpacks", "containment", "holding", "hooks", "sources", "strangers", "tenants", "traffic"),  # they share apps
}
"""Directories whose tests one process runs, one after another."""

MachineMaker = Callable[..., Machine]
_FORWARDED = pytest.StashKey[bool]()


# How fast examples come says how busy the machine is, nothing about the code.
hypothesis_settings.register_profile("paas", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("paas")


class _ByPlace(LoadScopeScheduling):  # type: ignore[misc]  # the plugin's own types are incomplete
    """Where several processes share the tests, a file stays with one of them, and so do some directories."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.split("::", 1)[0])
        return file.parts[1] if file.parts[1] in _TOGETHER else str(file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _ByPlace(config, log)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Forwarding stays on while any of several processes has machines; alone, a machine sees to it itself."""
    if session.config.getoption("numprocesses", None):
        session.config.stash[_FORWARDED] = forwarding(on=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash.get(_FORWARDED, False):
        forwarding(on=False)


@pytest.fixture(scope="session")
def base_disk() -> Iterator[Path]:
    """The data directory of an engine that has the base image and nothing else; made once, in about 20 seconds.

    With PAAS_TEST_BASE=PATH it is kept there for the next runs. Remove it when the schema or the way base images are
    made has changed under it. Processes that share the tests between them share it as well.
    """
    try:
        pwd.getpwnam("paas")
    except KeyError:
        pytest.fail("the account `paas` is missing; run scripts/install", pytrace=False)
    kept = os.environ.get("PAAS_TEST_BASE")
    if kept:
        with _alone(Path(f"{kept}.lock")):
            if not Path(kept).exists():
                _make_base(Path(kept))
        yield Path(kept)
        return
    with Machine() as maker:
        _bootstrap(maker)
        yield maker.data_dir


def _make_base(place: Path) -> None:
    with Machine() as maker:
        _bootstrap(maker)
        system.run(["cp", "--archive", str(maker.data_dir), f"{place}.new"], timeout=300)
        Path(f"{place}.new").rename(place)


def _bootstrap(maker: Machine) -> None:
    maker.engine_start()
    maker.paas("images:bootstrap", BASE_IMAGE, timeout=600)
    maker.engine_stop()
    maker.power_off()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
