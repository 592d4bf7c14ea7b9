"""How many replaced nginx processes live on, and which of them is ended for a new one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.proxy.nginx import Generation
from paas.proxy.replaced import Replaced, pause
from paas.system import mounts
from tests.harness.waiting import wait_until

LIMIT = 3


class Fake(Generation):
    """One that runs until it is told to end."""

    def __init__(self, place: Path, number: int) -> None:
        directory = place / f"g{number}"
        directory.mkdir()
        super().__init__(directory)
        self.told: list[str] = []
        self.alive = True

    @property
    def pid(self) -> int | None:
        return 1 if self.alive else None

    def orphans(self) -> list[int]:
        return []

    def quit(self) -> None:
        self.told.append("quit")
        self.alive = False

    def kill(self) -> None:
        self.told.append("kill")
        self.alive = False


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def open_port() -> Iterator[int]:
    """A port on which a connection is open."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", port)), server.accept()[0]:
            yield port


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replaced(clock: Clock) -> Iterator[Replaced]:
    made = Replaced(LIMIT, clock)
    yield made
    made.close()


def make_room(replaced: Replaced) -> threading.Thread:
    thread = threading.Thread(target=replaced.make_room, daemon=True)
    thread.start()
    return thread


def test_the_first_of_a_burst_come_at_once_and_later_ones_ever_slower() -> None:
    pauses = [pause(living, 16, 0.0) for living in range(16)]
    assert pauses[:2] == [0.0, 0.0] and pauses == sorted(pauses)
    assert 4 < pauses[-1] < 6
    assert pause(8, 16, 100.0) == 0.0, "the last swap is long ago"


def test_one_with_nothing_open_ends_and_is_removed(tmp_path: Path, replaced: Replaced, clock: Clock) -> None:
    old = Fake(tmp_path, 1)
    replaced.add(old, {1}, 30.0)

    def gone() -> bool:
        clock.now += 0.3
        return not old.directory.exists()

    wait_until(gone, "it is removed")
    assert old.told == ["quit"]


def test_at_the_limit_nothing_is_ended_that_a_client_may_still_use(
    tmp_path: Path, replaced: Replaced, clock: Clock, open_port: int
) -> None:
    olds = [Fake(tmp_path, number) for number in range(LIMIT)]
    for old in olds:
        replaced.add(old, {open_port}, 30.0)
        clock.now += 1
    waiting = make_room(replaced)
    waiting.join(0.4)
    assert waiting.is_alive() and not any(old.told for old in olds)
    clock.now += 30 - LIMIT + 0.5  # the oldest has only requests without an end now, the others are younger
    waiting.join(10)
    assert not waiting.is_alive()
    assert [old.told for old in olds] == [["kill"], [], []]


def test_room_is_made_by_one_that_ends_by_itself(
    tmp_path: Path, replaced: Replaced, clock: Clock, open_port: int
) -> None:
    olds = [Fake(tmp_path, number) for number in range(LIMIT)]
    for old in olds:
        replaced.add(old, {open_port}, 30.0)
    waiting = make_room(replaced)
    olds[1].alive = False
    wait_until(lambda: not olds[1].directory.exists(), "it is noticed")
    clock.now += 10
    waiting.join(10)
    assert not waiting.is_alive() and not any(old.told for old in olds)


def test_one_whose_files_cannot_be_removed_does_not_keep_the_others(
    tmp_path: Path, replaced: Replaced, clock: Clock
) -> None:
    stuck, other = Fake(tmp_path, 1), Fake(tmp_path, 2)
    (tmp_path / "lower").mkdir()
    mounts.bind(tmp_path / "lower", stuck.directory)
    try:
        for old in (stuck, other):
            replaced.add(old, {1}, 30.0)

        def gone() -> bool:
            clock.now += 0.3
            return not other.directory.exists()

        wait_until(gone, "the other is removed")
    finally:
        mounts.unmount(stuck.directory)
