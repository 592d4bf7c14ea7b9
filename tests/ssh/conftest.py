from __future__ import annotations

from collections.abc import Iterator

import pytest

from .stub import Place, front_door


@pytest.fixture(scope="session")
def shared_place() -> Iterator[Place]:
    with front_door() as running:
        yield running


@pytest.fixture
def place(shared_place: Place) -> Place:
    """One front door for all tests; what the stub engine remembers begins anew."""
    engine = shared_place.engine
    engine.requests.clear()
    engine.who.clear()
    engine.pushed.clear()
    engine.hung_up.clear()
    engine.waiting.clear()
    engine.refuse, engine.hold_push, engine.limit = None, False, 64 << 20
    return shared_place
