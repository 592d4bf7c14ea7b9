"""Links come and go, and leave nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from paas.errors import SystemFailure
from paas.network.links import Links
from paas.network.network import Network
from paas.network.rules import NetworkState
from paas.system.run import run
from tests.network.conftest import SETTINGS
from tests.network.world import VIP, Namespace, World


@pytest.fixture
def space() -> Iterator[Namespace]:
    made = Namespace()
    yield made
    made.close()


def shown(space: Namespace, *what: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(space.run(lambda: run(["ip", "-json", *what])).text)
    return found


def test_answers_at_once(world: World, space: Namespace) -> None:
    """The first packet waits for no ARP delay."""
    world.remote.serve("remote", 7000)
    world.network.connect(space.path, "nt9", IPv4Address("10.86.0.9"))
    started = time.monotonic()
    assert space.ask("198.51.100.2", 7000)[0] == "remote"
    assert time.monotonic() - started < 0.3


def test_is_ready_once_connected(world: World) -> None:
    """Even while somebody still sends to the one who had the address before."""
    address, done = str(world.address(0)), threading.Event()

    def insist() -> None:
        with world.host.datagrams(0) as sender:
            while not done.wait(0.0005):
                sender.sendto(b"still there?", (address, 9))

    insisting = threading.Thread(target=insist)
    insisting.start()
    spaces = [Namespace() for _ in range(10)]
    try:
        for space in spaces:
            space.serve("c", 5000)
            world.network.connect(space.path, "nt1", world.address(0))
            started = time.monotonic()
            assert world.host.ask(address, 5000)[0] == "c"
            assert time.monotonic() - started < 0.5
    finally:
        done.set()
        insisting.join()
        for space in spaces:
            space.close()


def test_has_the_mtu_of_the_way_out(world: World, space: Namespace) -> None:
    world.host.ip("link set wan0 mtu 1400")
    world.network.connect(space.path, "nt9", IPv4Address("10.86.0.9"))
    assert shown(space, "link", "show", "eth0")[0]["mtu"] == 1400
    assert shown(world.host, "link", "show", "nt9")[0]["mtu"] == 1400


def test_connecting_again_replaces(world: World, space: Namespace) -> None:
    space.serve("c", 5000)
    world.network.connect(space.path, "nt1", world.address(0))
    assert world.host.ask(str(world.address(0)), 5000)[0] == "c"


def test_disconnecting_twice_is_harmless(world: World) -> None:
    world.network.disconnect("nt1", world.address(0))
    world.network.disconnect("nt1", world.address(0))
    assert [link["ifname"] for link in shown(world.host, "link") if link["ifname"].startswith("nt")] == ["nt2"]


def test_failure_leaves_no_link(world: World, space: Namespace) -> None:
    space.ip("link add eth0 type veth peer name eth1")
    for netns in (space.path, Path("/proc/self/status"), Path("/nonexistent")):
        with pytest.raises(SystemFailure, match="nt9"):
            world.network.connect(netns, "nt9", IPv4Address("10.86.0.9"))
    assert "nt9" not in {link["ifname"] for link in shown(world.host, "link")}
    world.network.disconnect("nt1", world.address(0))  # the thread behind it is home again


def test_many_threads_leave_no_descriptors(world: World) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(20):
        thread = threading.Thread(target=world.network.disconnect, args=("nt9", IPv4Address("10.86.0.9")))
        thread.start()
        thread.join()
    assert descriptors() <= before


def test_only_numbered_names_are_ours(world: World) -> None:
    world.host.ip("link add ntx type veth peer name other1")
    links = world.host.run(lambda: Links("nt"))
    assert sorted(links.names()) == ["nt1", "nt2"]
    links.close()


def test_setting_up_again_changes_nothing(world: World) -> None:
    before = shown(world.host, "route", "show", "table", "all")
    world.host.run(world.network.setup)
    assert shown(world.host, "route", "show", "table", "all") == before


def test_teardown_leaves_nothing_and_may_be_repeated(world: World) -> None:
    world.network.restore(NetworkState({VIP: {80: [(world.address(0), 5000)]}}))
    another = world.host.run(lambda: Network(SETTINGS))  # as after a crash
    for _ in range(2):
        another.teardown()
        assert {link["ifname"] for link in shown(world.host, "link")} == {"lo", "wan0"}
        assert "10.8" not in str(shown(world.host, "-4", "route", "show", "table", "all"))
        assert world.host.run(lambda: run(["nft", "list", "tables"])).text == ""
    another.close()
