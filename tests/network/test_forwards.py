"""Ports of the host that lead straight to an instance."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from paas.network.rules import Forward
from tests.network.world import HOST, World, echoes, greeting


@pytest.fixture(autouse=True)
def database(world: World) -> None:
    world.containers[0].serve("db", 5000)
    world.containers[0].serve_datagrams("dns", 5353)
    world.network.set_forwards(
        [Forward("tcp", 5432, world.address(0), 5000), Forward("udp", 5453, world.address(0), 5353)]
    )


def test_from_other_machines_under_their_own_address(world: World) -> None:
    name, seen = world.remote.ask(HOST, 5432)
    assert (name, seen) == ("db", "198.51.100.2")
    assert world.remote.ask_datagram(HOST, 5453) == "dns"


@pytest.mark.parametrize("address", [HOST, "127.0.0.1"])
def test_from_the_host(world: World, address: str) -> None:
    assert world.host.ask(address, 5432)[0] == "db"
    assert world.host.ask_datagram(address, 5453) == "dns"


@pytest.mark.parametrize("container", [0, 1], ids=["itself", "other"])
def test_from_containers_by_the_host_s_address(world: World, container: int) -> None:
    assert world.containers[container].ask(HOST, 5432)[0] == "db"
    assert world.containers[container].ask_datagram(HOST, 5453) == "dns"


def test_protocols_are_kept_apart(world: World) -> None:
    with pytest.raises(ConnectionRefusedError):
        world.remote.connect(HOST, 5453)


def test_move_to_another_instance_leaves_open_connections(world: World) -> None:
    world.containers[1].serve("db2", 5000)
    with world.remote.connect(HOST, 5432) as old:
        assert greeting(old)[0] == "db"
        world.network.set_forwards([Forward("tcp", 5432, world.address(1), 5000)])
        assert world.remote.ask(HOST, 5432)[0] == "db2"
        assert echoes(old)


def test_taken_away(world: World) -> None:
    world.network.set_forwards([])
    with pytest.raises(ConnectionRefusedError):
        world.remote.connect(HOST, 5432)


def test_on_one_address_of_the_host(world: World) -> None:
    world.containers[1].serve("private", 5000)
    world.network.set_forwards(
        [
            Forward("tcp", 5600, world.address(0), 5000, IPv4Address("127.0.0.1")),
            Forward("tcp", 5601, world.address(0), 5000, IPv4Address(HOST)),
            Forward("tcp", 5601, world.address(1), 5000, IPv4Address("127.0.0.1")),
        ]
    )
    assert world.host.ask("127.0.0.1", 5600)[0] == "db"
    for asker in (world.host, world.remote, world.containers[1]):
        with pytest.raises(ConnectionRefusedError):
            asker.connect(HOST, 5600)
        assert asker.ask(HOST, 5601)[0] == "db"
    assert world.host.ask("127.0.0.1", 5601)[0] == "private"


def test_new_connections_are_spread_over_several(world: World) -> None:
    for number, name in ((0, "a"), (1, "b")):
        world.containers[number].serve(name, 5001)
    world.network.set_forwards([Forward("tcp", 5700, world.address(number), 5001) for number in (0, 1)])
    assert sorted(world.remote.ask(HOST, 5700)[0] for _ in range(4)) == ["a", "a", "b", "b"]
    world.network.set_forwards([Forward("tcp", 5700, world.address(1), 5001)])
    assert {world.remote.ask(HOST, 5700)[0] for _ in range(3)} == {"b"}
