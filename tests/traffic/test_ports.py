"""Port maps of tcp, and rules that somebody else removes: as a client on the network sees them."""

from __future__ import annotations

import socket

from tests.harness.waiting import wait_until
from tests.traffic.conftest import World

PORT = 9310


def test_a_tcp_port_leads_to_every_instance(world: World) -> None:
    world.client.ssh("ports:add", world.app, f"tcp:{PORT}:5000")
    world.client.ssh("ps:scale", world.app, "web=2")
    try:
        with _ask(world), _ask(world), _ask(world), _ask(world):
            assert sorted(_connections(world)) == [2, 2]
        world.client.ssh("ps:scale", world.app, "web=1")
        with _ask(world), _ask(world):
            wait_until(lambda: _connections(world) == [2], "the one that is left has both")
    finally:
        world.client.ssh("ports:remove", world.app, f"tcp:{PORT}:5000")
        world.client.ssh("ps:scale", world.app, "web=1")


def test_rules_that_are_flushed_come_back(world: World) -> None:
    world.machine.run(["nft", "flush", "ruleset"])

    def answers() -> bool:
        try:
            return world.machine.get(world.app, timeout=0.5).status == 200
        except OSError:
            return False

    wait_until(answers, "the app answers again")
    assert "Somebody has removed the rules" in world.machine.engine_log


def _ask(world: World) -> socket.socket:
    """A connection over which one request has been answered."""
    client = socket.create_connection((world.machine.address, PORT), timeout=10)
    client.sendall(f"GET / HTTP/1.1\r\nHost: {world.host}\r\n\r\n".encode())
    assert b" 200 " in client.recv(4096)
    return client


def _connections(world: World) -> list[int]:
    """How many connections each instance that runs has from outside, by the kernel's list in its network namespace."""
    found = []
    for line in world.machine.run(["ps", "-eo", "pid=,args="]).text.splitlines():
        pid, _, words = line.strip().partition(" ")
        if words.strip().startswith("/usr/bin/python3") and "/recorder.py" in words:
            listing = world.machine.run(
                ["nsenter", "--target", pid, "--net", "ss", "-Htn", "state", "established"], check=False
            )
            found.append(sum(world.machine.host_address in each for each in listing.text.splitlines()))
    return [count for count in found if count]
