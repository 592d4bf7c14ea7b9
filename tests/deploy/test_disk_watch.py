"""Who is stopped when nearly nothing is left. Directories are real, containers are not."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from paas.deploy.disk_watch import DiskWatch
from paas.deploy.disk_writers import Bounded, Place, Writer, Writers
from paas.names import AppName
from paas.runtime.runtime import Runtime
from paas.state.apps import App
from paas.system.disk import Left

MIB = 1 << 20


class World:
    """Stands for the runtime and for all writers: two apps and a container of an admin's, each with its directory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.free, self.inodes = 1000 * MIB, 100_000
        self.counted: dict[str, int] = {}
        """What the kernel says that they have written."""
        self.ended: list[str] = []
        owners = {"greedy": _app(1, "greedy"), "still": _app(2, "still"), "database": None}
        self.writers = {name: Writer(name, app, name) for name, app in owners.items()}
        for name in owners:
            (place / name).mkdir()
        watch = DiskWatch(self.left, cast(Runtime, self), cast(Writers, self), lambda: None)
        self.look = watch.look

    def left(self) -> Left:
        return Left(self.free, self.inodes, 20 * MIB, 1000, 1000 * MIB)

    def write(self, name: str, size: int) -> None:
        with (self.place / name / "file").open("ab") as file:
            file.write(bytes(size))

    def fill(self, free: int, inodes: int = 100_000) -> None:
        self.free, self.inodes = free, inodes
        self.look()

    # as Writers

    def running(self) -> list[Writer]:
        return [writer for writer in self.writers.values() if writer.id not in self.ended]

    def places(self) -> list[Place]:
        return [Place(writer.id, self.place / writer.name, writer) for writer in self.running()]

    def storage(self) -> list[Bounded]:
        return []

    def of_storage(self, keys: Iterable[str]) -> list[Writer]:
        return []

    def end(self, writer: Writer, why: str, *, again: bool) -> None:
        assert "nearly full" in why and not again
        self.ended.append(writer.id)

    # as Runtime

    def processes(self, id: str) -> list[int]:
        return []

    def root(self, id: str) -> Path:
        return self.place

    def written(self, id: str) -> int:
        return self.counted.get(id, 0)


def _app(id: int, name: str) -> App:
    return App(id, AppName(name), "", 1, stopped=False, own_domains=False)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for name in made.writers:
        made.write(name, 4 * MIB)
    made.look()
    return made


def test_who_has_grown_and_the_next_only_when_it_grows_on(world: World) -> None:
    world.write("greedy", 8 * MIB)
    world.write("still", 2 * MIB)
    world.fill(11 * MIB)
    assert world.ended == []
    world.fill(9 * MIB)
    assert world.ended == ["greedy"]
    for free in (9, 8, 6, 5):
        world.fill(free * MIB)
    assert world.ended == ["greedy"], "others stand still"
    world.write("still", 3 * MIB)
    world.fill(3 * MIB)
    assert world.ended == ["greedy", "still"]


def test_apps_go_before_what_an_admin_runs(world: World) -> None:
    world.write("database", 20 * MIB)
    world.write("still", 2 * MIB)
    world.fill(9 * MIB)
    assert world.ended == ["still"]
    world.write("database", 2 * MIB)
    world.fill(7 * MIB)
    assert world.ended == ["still", "database"]


def test_nobody_is_stopped_for_what_no_container_has_taken(world: World) -> None:
    for free in (9, 6, 3, 0):
        world.fill(free * MIB)
    assert world.ended == []


def test_who_writes_what_no_walk_finds(world: World) -> None:
    world.counted = {"greedy": 500 * MIB, "still": 900 * MIB}
    world.fill(9 * MIB)
    assert world.ended == [], "what was written before says nothing"
    world.counted |= {"greedy": 503 * MIB}
    world.fill(6 * MIB)
    assert world.ended == ["greedy"]


def test_of_inodes_whoever_has_made_most(world: World) -> None:
    world.write("still", 20 * MIB)
    for number in range(100):
        (world.place / "greedy" / str(number)).touch()
    world.fill(1000 * MIB, 499)
    assert world.ended == ["greedy"]
