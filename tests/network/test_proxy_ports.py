"""Public ports, led to the nginx that is current."""

from __future__ import annotations

import pytest

from tests.network.world import HOST, HOST6, REMOTE, REMOTE6, World, echoes, greeting


@pytest.fixture(autouse=True)
def nginx(world: World) -> None:
    world.host.serve("one", 18000, "::")
    world.host.serve("two", 18001, "::")
    world.network.set_proxy({80: 18000})


def test_client_address_is_kept(world: World) -> None:
    assert world.remote.ask(HOST, 80) == ("one", REMOTE)
    assert world.remote.ask(HOST6, 80) == ("one", REMOTE6)


@pytest.mark.parametrize("address", [HOST, "127.0.0.1", HOST6, "::1"])
def test_from_the_host(world: World, address: str) -> None:
    assert world.host.ask(address, 80) == ("one", address)


def test_from_containers_by_the_host_s_address(world: World) -> None:
    assert world.containers[0].ask(HOST, 80) == ("one", str(world.address(0)))


def test_swap_leaves_open_connections(world: World) -> None:
    with world.remote.connect(HOST, 80) as old, world.containers[0].connect(HOST, 80) as inner:
        assert (greeting(old)[0], greeting(inner)[0]) == ("one", "one")
        world.network.set_proxy({80: 18001})
        assert world.remote.ask(HOST, 80)[0] == "two"
        assert echoes(old)
        assert echoes(inner)


def test_internal_ports_are_closed_to_others(world: World) -> None:
    for outsider, addresses in ((world.remote, (HOST, HOST6)), (world.containers[0], (HOST,))):
        for address in addresses:
            with pytest.raises(TimeoutError):
                outsider.connect(address, 18000)
    assert world.host.ask("127.0.0.1", 18000)[0] == "one"


def test_connections_that_go_elsewhere_are_left_alone(world: World) -> None:
    world.remote.serve("remote", 80)
    assert world.host.ask(REMOTE, 80)[0] == "remote"
    assert world.containers[0].ask(REMOTE, 80) == ("remote", HOST)


def test_no_public_port(world: World) -> None:
    world.network.set_proxy({})
    with pytest.raises(ConnectionRefusedError):
        world.remote.connect(HOST, 80)
