"""nginx or the engine ends without a word in the middle of a swap."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.waiting import wait_until
from tests.traffic.conftest import World
from tests.traffic.visitors import Crowd


def test_the_new_nginx_is_killed_as_it_is_to_serve(world: World) -> None:
    with Crowd(world.machine.address, world.host, "--get", "4", "--post", "4", "--new", "2", "--pace", "0.01") as crowd:
        for number in range(3):
            killing = _as_the_next_nginx_starts(world, lambda file: _kill_all_of(world, file))
            world.client.ssh("domains:add", world.other, f"killed{number}.example.com")
            killing.join(10)
            host = f"killed{number}.example.com"
            wait_until(lambda h=host: _text(world, h) == "other\n", "the hostname is served")  # type: ignore[misc]
    # What a connection to the one that was killed had in work cannot be answered; nobody is refused.
    assert not [what for what in crowd.report.lost if "connect" in what or "status" in what], crowd.report.lost
    assert sum(crowd.report.lost.values()) <= 3 * 10


@pytest.mark.parametrize("point", ["nginx:started", "nginx:redirected"])
def test_the_engine_is_killed_in_the_middle_of_a_swap(world: World, tmp_path: Path, point: str) -> None:
    machine, host = world.machine, f"after-{point.partition(':')[2]}.example.com"
    machine.engine_stop()
    machine.engine_start(faults=tmp_path)
    with Crowd(machine.address, world.host, "--get", "4", "--post", "4", "--new", "2", "--pace", "0.01") as crowd:
        (tmp_path / "kill-at").write_text(point)
        said = world.client.ssh("domains:add", world.other, f"halfway-{host}", check=False)
        machine.engine_died()
        assert said.status != 0
        assert machine.get(world.app).status == 200
        machine.engine_start()
        world.client.ssh("domains:add", world.other, host)
        wait_until(lambda: _text(world, host) == "other\n", "the next change is served")
    assert not crowd.report.lost
    wait_until(lambda: len(_masters(world)) == 1, "one nginx is left", 40)


def _text(world: World, host: str) -> str:
    try:
        return world.machine.get(host).text
    except OSError:
        return ""


def _masters(world: World) -> list[Path]:
    """The pid files of the machine's nginx processes."""
    files = Path(f"/proc/{world.machine.engine_pid}/root{world.machine.run_dir}/nginx")
    return list(files.glob("g[0-9]*/pid"))


def _as_the_next_nginx_starts(world: World, do: Callable[[Path], None]) -> threading.Thread:
    """Do something with the pid file of the next master as soon as it is written."""
    before = _masters(world)

    def wait() -> None:
        fresh = wait_until(lambda: [file for file in _masters(world) if file not in before], "another nginx")
        do(fresh[0])

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def _kill_all_of(world: World, pid_file: Path) -> None:
    """SIGKILL for a master and its workers, found by the directory that the master was started with."""
    token = str(world.machine.run_dir).encode()
    directory = f"/nginx/{pid_file.parent.name}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            if words.startswith(b"nginx: master") and directory in words and token in words:
                workers = (process / "task" / process.name / "children").read_text().split()
                for pid in (process.name, *workers):
                    os.kill(int(pid), signal.SIGKILL)
        except OSError:
            continue
