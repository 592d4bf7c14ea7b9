"""Virtual addresses: spreading, switching, refusing."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from paas.network.rules import NetworkState
from paas.system.run import run
from tests.network.world import VIP, World, echoes, greeting

PORT = 80


@pytest.fixture(autouse=True)
def servers(world: World) -> None:
    for name, container in zip("ab", world.containers, strict=True):
        container.serve(name, 5000)
    world.host.serve("nginx", 18000)
    world.network.set_proxy({80: 18000})


def test_connections_are_spread_evenly(world: World) -> None:
    world.network.set_service(VIP, {PORT: [(world.address(0), 5000), (world.address(1), 5000)]})
    assert Counter(world.host.ask(str(VIP), PORT)[0] for _ in range(10)) == {"a": 5, "b": 5}


def test_a_switch_moves_new_connections_and_leaves_open_ones(world: World) -> None:
    world.network.set_service(VIP, {PORT: [(world.address(0), 5000)]})
    with world.host.connect(str(VIP), PORT) as old:
        assert greeting(old)[0] == "a"
        world.network.set_service(VIP, {PORT: [(world.address(1), 5000)]})
        assert {world.host.ask(str(VIP), PORT)[0] for _ in range(5)} == {"b"}
        assert echoes(old)
        world.network.remove_service(VIP)
        assert echoes(old)


def test_connections_survive_a_rebuild_of_the_table(world: World) -> None:
    services = {VIP: {PORT: [(world.address(0), 5000)]}}
    world.network.set_service(VIP, services[VIP])
    with world.host.connect(str(VIP), PORT) as connection:
        assert greeting(connection)[0] == "a"
        world.network.restore(NetworkState(services))
        assert echoes(connection)
    assert world.host.ask(str(VIP), PORT)[0] == "a"


def test_no_instance_is_refused_at_once_and_not_sent_to_the_proxy(world: World) -> None:
    def refused(address: str) -> None:
        started = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            world.host.connect(address, PORT)
        assert time.monotonic() - started < 0.5

    refused(str(VIP))
    world.network.set_service(VIP, {PORT: [(world.address(0), 5000)]})
    refused(str(VIP + 1))
    world.network.set_service(VIP, {PORT: []})
    refused(str(VIP))


def test_only_the_host_gets_there(world: World) -> None:
    world.network.set_service(VIP, {PORT: [(world.address(0), 5000)]})
    for outsider in (world.remote, *world.containers):
        with pytest.raises(ConnectionRefusedError):
            outsider.connect(str(VIP), PORT)


def test_services_of_the_host_do_not_show_under_virtual_addresses(world: World) -> None:
    world.host.serve("private", 9000)
    for asker in (world.host, world.remote, world.containers[0]):
        with pytest.raises(ConnectionRefusedError):
            asker.connect(str(VIP), 9000)


def test_a_flushed_table_comes_back_with_the_next_change(world: World) -> None:
    world.network.set_service(VIP, {PORT: [(world.address(0), 5000)]})
    world.host.run(lambda: run(["nft", "delete", "table", "inet", world.settings.nft_table]))
    world.network.set_service(VIP + 1, {PORT: [(world.address(1), 5000)]})
    assert world.host.ask(str(VIP), PORT)[0] == "a"
    assert world.host.ask(str(VIP + 1), PORT)[0] == "b"
    with pytest.raises(ConnectionRefusedError):
        world.containers[0].connect(str(VIP), PORT)
