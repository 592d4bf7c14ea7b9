"""Containers that take all they can get: they meet their own limit, and nothing else notices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.conftest import BASE_IMAGE
from tests.containment.conftest import Victims
from tests.harness.waiting import wait_until
from tests.machine import Machine

LOG_LIMIT = 10 << 20
"""logs:set max-size, where nobody has set it."""


@pytest.fixture
def greedy(machine: Machine) -> Iterator[str]:
    yield "greedy"
    machine.paas("rm", "-f", "greedy", check=False)


def _state(machine: Machine, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(machine.paas("inspect", name).text)[0]["State"]
    return found


def _end(machine: Machine, name: str) -> dict[str, object]:
    wait_until(lambda: _state(machine, name)["Status"] == "exited", "it has ended", 30)
    return _state(machine, name)


def _others_go_on(machine: Machine, victims: Victims) -> None:
    assert machine.get("bystander").body == b"ok\n"
    assert _state(machine, "bystander.web.1")["Running"]
    assert machine.paas("run", "--rm", BASE_IMAGE, "echo", "fine").text == "fine\n"


def test_a_fork_bomb(machine: Machine, greedy: str, victims: Victims) -> None:
    bomb = "bomb() { bomb | bomb & }; bomb; while :; do sleep 1; done"
    machine.paas("run", "-d", "--name", greedy, "-m", "512m", BASE_IMAGE, "bash", "-c", bomb)
    limit = machine.settings.app_pids

    def most() -> bool:
        rows = machine.paas("stats", "--no-stream", "--format", "json", greedy).text
        found = re.search(r'"pids": "?(\d+)', rows)
        return found is not None and int(found[1]) >= limit - 64

    wait_until(most, "the bomb fills its limit", 30)
    _others_go_on(machine, victims)
    machine.paas("rm", "-f", greedy, timeout=60)
    assert greedy not in machine.paas("ps", "-a").text


@pytest.mark.parametrize(
    "script",
    [
        "perl -e '$x = q(x) x (256 << 20); sleep 60'",
        "mount -t tmpfs x /x; dd if=/dev/zero of=/dev/shm/x bs=1M count=60; tail /dev/zero",
        "perl -e 'fork || 1 for 1..3; $x .= q(x) x (8 << 20) while 1'",
    ],
    ids=["memory", "shared memory and memory", "several processes"],
)
def test_more_memory_than_allowed(machine: Machine, greedy: str, victims: Victims, script: str) -> None:
    machine.paas("run", "-d", "--name", greedy, "-m", "64m", BASE_IMAGE, "sh", "-c", script)
    state = _end(machine, greedy)
    assert state["OOMKilled"] and state["ExitCode"] != 0, state
    _others_go_on(machine, victims)


def test_the_page_cache_is_no_way_around(machine: Machine, greedy: str) -> None:
    """Files written and read count, and give way: it lives."""
    script = "dd if=/dev/zero of=/big bs=1M count=200 2>/dev/null && cat /big | wc -c && rm /big"
    done = machine.paas("run", "--name", greedy, "-m", "64m", BASE_IMAGE, "sh", "-c", script)
    assert done.text == f"{200 << 20}\n"
    assert not _state(machine, greedy)["OOMKilled"]


def test_a_flood_of_log(machine: Machine, greedy: str) -> None:
    lines = 4 * LOG_LIMIT // 1000
    script = f"yes {'x' * 999} | head -n {lines}; yes '' | head -n 100000; echo the end"
    machine.paas("run", "-d", "--name", greedy, BASE_IMAGE, "sh", "-c", script)
    _end(machine, greedy)
    id = json.loads(machine.paas("inspect", greedy).text)[0]["Id"]
    home = machine.data_dir / "containers" / id
    size = sum(path.stat().st_size for path in home.glob("log*"))
    assert 0 < size <= 2 * LOG_LIMIT + (1 << 20)
    assert machine.paas("logs", "-n", "1", greedy).text.endswith("the end\n")
