"""Connections for which nobody is there, for a moment."""

from __future__ import annotations

import threading
import time

import pytest

from tests.harness.waiting import wait_until
from tests.network.world import VIP, World, greeting


def ask_later(world: World, address: str = str(VIP)) -> tuple[threading.Thread, list[str]]:
    answers: list[str] = []

    def ask() -> None:
        try:
            with world.host.connect(address, 80, timeout=5) as connection:
                answers.append(greeting(connection)[0])
        except OSError as error:
            answers.append(type(error).__name__)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, answers


def elements(world: World, name: str) -> str:
    return world.host.run(lambda: world.network._nft.run(f"list set inet paas_test {name}"))


def test_held_connections_reach_the_next_instance(world: World) -> None:
    world.network.set_service(VIP, {80: []}, hold=True)
    thread, answers = ask_later(world)
    wait_until(lambda: f". {VIP} . 80" in elements(world, "waiting"), "it waits")
    world.containers[0].serve("new", 5000)
    world.network.set_service(VIP, {80: [(world.address(0), 5000)]})
    thread.join(10)
    assert answers == ["new"]
    assert str(VIP) not in elements(world, "held")


def test_without_a_hold_they_are_refused_at_once(world: World) -> None:
    world.network.set_service(VIP, {80: []}, hold=True)
    world.network.set_service(VIP, {80: []})
    with pytest.raises(ConnectionRefusedError):
        world.host.connect(str(VIP), 80)


def test_a_refusal_by_an_instance_that_has_just_ended_is_not_heard(world: World) -> None:
    world.network.set_service(VIP, {80: [(world.address(0), 5000)]})
    thread, answers = ask_later(world)
    wait_until(lambda: str(world.address(0)) in elements(world, "refusing"), "the instance has refused")
    assert not answers
    world.containers[1].serve("other", 5000)
    world.network.set_service(VIP, {80: [(world.address(1), 5000)]})
    thread.join(10)
    assert answers == ["other"]


def test_where_nobody_listens_for_longer_it_is(world: World) -> None:
    world.network.set_service(VIP, {80: [(world.address(0), 5000)]})
    begun = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        world.host.connect(str(VIP), 80, timeout=5)
    assert time.monotonic() - begun > 0.9, "the first refusals were not heard"
    with pytest.raises(ConnectionRefusedError):
        world.host.connect(str(VIP), 80)
    with pytest.raises(ConnectionRefusedError):  # whoever does not come by the virtual address hears them all
        world.host.connect(str(world.address(1)), 5000)


def test_an_nginx_that_has_just_ended(world: World) -> None:
    world.network.set_proxy({80: 18000})
    thread, answers = ask_later(world, "127.0.0.1")
    wait_until(lambda: "18000" in elements(world, "refusing"), "the port has refused")
    world.host.serve("next", 18001, "::")
    world.network.set_proxy({80: 18001})
    thread.join(10)
    assert answers == ["next"]
