"""Flows of datagrams end with the container they lead to, and reach nobody who has its address after it."""

from __future__ import annotations

import socket

import pytest

from paas.network.conntrack import forget_datagrams
from paas.network.rules import Forward
from tests.network.world import HOST, Namespace, World

PORT = 5453


def answer(client: socket.socket, address: str = HOST, port: int = PORT) -> str:
    client.settimeout(0.5)
    client.sendto(b"?", (address, port))
    return client.recv(100).decode()


def lead_to(world: World, container: int) -> None:
    world.network.set_forwards([Forward("udp", PORT, world.address(container), 5353)])


def test_a_flow_goes_on_to_the_successor(world: World) -> None:
    for number, name in enumerate(["old", "new"]):
        world.containers[number].serve_datagrams(name, 5353)
    lead_to(world, 0)
    with world.remote.datagrams() as client:
        assert answer(client) == "old"
        lead_to(world, 1)
        assert answer(client) == "old", "the flow is bound to where it began"
        world.network.disconnect("nt1", world.address(0))
        assert answer(client) == "new"
        world.network.disconnect("nt1", world.address(0))
        assert world.host.run(lambda: forget_datagrams(world.address(1))) == 1, "flows of others stay"


def test_flows_of_the_former_owner_do_not_reach_the_next(world: World) -> None:
    """Those it began: an answer to it comes under the host's address, and would be handed on."""
    with world.remote.datagrams(7000) as peer, world.containers[0].datagrams(9000) as former:
        former.sendto(b"hello", ("198.51.100.2", 7000))
        _, known_as = peer.recvfrom(100)
        peer.sendto(b"yours", known_as)
        former.settimeout(1)
        assert former.recv(100) == b"yours"
        world.network.disconnect("nt1", world.address(0))
        stranger = Namespace()
        try:
            world.network.connect(stranger.path, "nt1", world.address(0))
            with stranger.datagrams(9000) as next_one:
                next_one.settimeout(0.3)
                for _ in range(3):
                    peer.sendto(b"not yours", known_as)
                with pytest.raises(TimeoutError):
                    next_one.recv(100)
        finally:
            stranger.close()


def test_any_number_of_them(world: World) -> None:
    """More than one message to or from the kernel holds; connections are left to end as they do."""
    world.remote.serve("remote", 7001)
    many = 1200
    with world.containers[0].connect("198.51.100.2", 7001), world.containers[0].datagrams() as sender:
        for port in range(many):
            sender.sendto(b"x", ("198.51.100.2", 10000 + port))
        assert world.host.run(lambda: forget_datagrams(world.address(0))) == many
        assert world.host.run(lambda: forget_datagrams(world.address(0))) == 0
