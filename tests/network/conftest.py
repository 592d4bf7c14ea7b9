from __future__ import annotations

from collections.abc import Iterator

import pytest

from paas.network.rules import NetworkState
from paas.settings import Settings
from tests.network import world as worlds
from tests.network.world import World

SETTINGS = Settings(nft_table="paas_test", link_prefix="nt")


@pytest.fixture
def world() -> Iterator[World]:
    """A host with two containers and a machine beyond, its table in place and empty; some 50 ms."""
    with worlds.world(SETTINGS) as made:
        made.host.run(lambda: made.network.restore(NetworkState()))
        yield made
