from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.ssh.stub import Place, front_door

from .attacker import threads, until

DoorMaker = Callable[..., Place]


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every account gets to, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="paas-strangers-", dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def door() -> Iterator[DoorMaker]:
    """`door(ssh_logins=5, ...)`: a front door with a stub engine behind it, for one test."""
    with ExitStack() as doors:
        yield lambda **limits: doors.enter_context(front_door(**limits))


@pytest.fixture(scope="session")
def shared_door() -> Iterator[Place]:
    """One with low limits, for all tests that leave it as it was."""
    with front_door(ssh_dead_after=2, ssh_sessions=3, ssh_sessions_per_user=5) as place:
        yield place


@pytest.fixture(scope="session")
def impatient_door() -> Iterator[Place]:
    """One that gives a second to log in."""
    with front_door(ssh_login_grace=1) as place:
        yield place


@pytest.fixture
def place(shared_door: Place) -> Place:
    """Alone at the shared door: connections of earlier tests have ended."""
    until(lambda: threads(shared_door.pid) <= 3, "earlier connections have ended")
    shared_door.engine.requests.clear()
    shared_door.engine.hung_up.clear()
    shared_door.engine.waiting.clear()
    return shared_door
