from __future__ import annotations

from collections.abc import Iterator

import pytest

from .host import Host


@pytest.fixture
def host() -> Iterator[Host]:
    """A runtime of its own; whatever a test leaves is taken down, and what that does not reach fails the test."""
    made = Host()
    try:
        yield made
    finally:
        made.close()
    assert made.leftovers() == []
