"""resource:*, seen in the cgroups of what runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.runtime import cgroups
from paas.runtime.cgroups import allow_v2
from paas.runtime.spec import Allowance
from tests.harness.waiting import wait_until
from tests.holding.conftest import APP, Held

MIB = 1 << 20


def memory(held: Held, id: str) -> int:
    return int(held.cgroup(id, "memory", "memory.limit_in_bytes", "memory.max"))


def quota(held: Held, id: str) -> str:
    if cgroups.detect() is cgroups.Kind.V2:
        return held.cgroup(id, "cpu", "", "cpu.max").split()[0].replace("max", "-1")
    return held.cgroup(id, "cpu", "cpu.cfs_quota_us", "")


def test_limits_hold_at_once_and_come_back(held: Held) -> None:
    before = held.ids()
    first = held.current()
    text = held.ssh("resource:limit", APP, "--memory", "100", "--cpu", "0.5")
    assert text.splitlines()[0] == f"=====> Setting resource limits for {APP}" and "memory:" in text
    held.ssh("resource:limit", APP, "--memory", "200m", "--process-type", "worker")
    held.ssh("resource:reserve", APP, "--memory", "32", "--cpu", "2", "--process-type", "web")
    assert held.ids() == before, "nothing is restarted"
    web, worker = before["web.1"], before["worker.1"]
    assert (memory(held, web), memory(held, worker)) == (100 * MIB, 200 * MIB)
    assert quota(held, web) == quota(held, worker) == "50000"
    assert held.cgroup(web, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 * MIB)
    if cgroups.detect() is not cgroups.Kind.V2:
        assert held.cgroup(web, "cpu", "cpu.shares", "") == "2048"
        assert held.cgroup(worker, "cpu", "cpu.shares", "") == "1024"

    report = held.json("resource:report", APP)
    assert report["resource-_default_.limit.memory"] == "100" and report["resource-worker.limit.memory"] == "200m"
    assert "       worker limit memory:" in held.ssh("resource:report", APP)
    assert "cpu:" in held.ssh("resource:limit", APP)
    assert "resource:limit-memory@worker" in held.ssh("releases:diff", APP, str(first))

    held.ssh("resource:limit", APP, "--cpu", "clear")
    assert quota(held, web) == "-1"
    held.ssh("ps:restart", APP, "web")
    again = held.ids()
    assert again["web.1"] != web and memory(held, again["web.1"]) == 100 * MIB, "new ones are made with it"
    held.ssh("releases:rollback", APP, str(first))
    assert memory(held, held.ids()["worker.1"]) == 512 * MIB and held.ids() == again
    assert held.json("resource:report", APP)["resource-_default_.limit.memory"] == ""


def test_one_that_uses_more_is_replaced(held: Held) -> None:
    held.ssh("config:set", APP, "--no-restart", "UNUSED=1")
    held.ssh("resource:limit", APP, "--memory", "300", "--process-type", "worker")
    held.ssh("ps:restart", APP)
    before = held.ids()
    hog = ["sh", "-c", "dd if=/dev/zero of=/dev/shm/x bs=1M count=40; sleep 0"]
    held.inside("worker.1", *hog)
    held.ssh("resource:limit", APP, "--memory", "20", "--process-type", "worker")
    after = held.ids()
    assert after["web.1"] == before["web.1"] and after["worker.1"] != before["worker.1"]
    assert memory(held, after["worker.1"]) == 20 * MIB
    held.ssh("resource:limit-clear", APP, "--process-type", "worker")
    wait_until(lambda: memory(held, held.ids()["worker.1"]) == 512 * MIB, "the default holds again")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--memory", "lots"), "memory limit"),
        (("--memory", "1"), "memory limit"),
        (("--cpu", "-1"), "processors"),
        (("--nvidia-gpu", "1"), "devices"),
        (("--network", "10"), "traffic"),
        (("--memory", "100", "--process-type", "no such"), "process type"),
        (("--memory", "100\n200"), "memory limit"),
        (("--disk", "none"), "limit of the disk"),
        (("--inodes", "1e9"), "number of files"),
        (("--inodes", "5"), "number of files"),
        (("--storage", "-1"), "limit of the disk"),
        (("--storage", "1g", "--process-type", "web"), "not that of a process type"),
        (("--disk", "1g", "--process-type", "build"), "builder:set APP disk"),
        (("--disk", "3g"), "Only an admin key"),
        (("--disk", "1g", "--inodes", "200001"), "Only an admin key"),
    ],
)
def test_bad_values(held: Held, words: tuple[str, ...], said: str) -> None:
    before = held.json("resource:report", APP)
    assert said in held.refused("resource:limit", APP, *words)
    assert held.json("resource:report", APP) == before


def test_who_and_what(held: Held) -> None:
    held.refused("resource:limit", "missing-app", "--memory", "100", status=20)
    held.refused("resource:report", "missing-app", status=20)
    assert "admin" in held.refused("resource:limit", "--global", "--memory", "100")
    assert "swap" in held.refused("resource:reserve", APP, "--memory-swap", "100")
    held.machine.paas("resource:limit", "--global", "--memory", "1g", "--process-type", "other")
    assert "1g" in held.machine.paas("resource:limit", "--global", "--process-type", "other").text
    held.machine.paas("resource:limit-clear", "--global", "--process-type", "other")


def test_the_disk_is_limited_at_once_and_by_admins(held: Held) -> None:
    """No part of releases; a deployer goes as far as what holds for all, or as an admin lets the app."""
    releases, before = held.json("releases", APP), held.json("resource:report", APP)
    assert before["resource-computed.disk"] == 2 << 30 and before["resource-computed.inodes"] == 200_000
    assert before["resource-computed.storage"] == 0
    held.ssh("resource:limit", APP, "--disk", "500", "--inodes", "1000", "--storage", "50g")
    held.ssh("resource:limit", APP, "--disk", "1g", "--process-type", "worker")
    report = held.json("resource:report", APP)
    assert report["resource-_default_.limit.disk"] == "500" and report["resource-worker.limit.disk"] == "1g"
    assert [report[f"resource-computed.{key}"] for key in ("disk", "inodes", "storage")] == [500 << 20, 1000, 50 << 30]
    assert held.json("releases", APP) == releases
    assert "Only an admin key may allow more than 2.0 GiB" in held.refused("resource:limit", APP, "--disk", "2049m")
    held.machine.paas("resource:limit", APP, "--disk", "4g")
    held.ssh("resource:limit", APP, "--disk", "3g")
    held.machine.paas("resource:limit", "--global", "--disk", "1g", "--storage", "20g")
    try:
        assert "20.0 GiB" in held.refused("resource:limit", APP, "--storage", "60g")
        assert "more than 1.0 GiB" in held.refused("resource:limit", APP, "--disk", "3500m")
        held.ssh("resource:limit-clear", APP)
        assert held.json("resource:report", APP)["resource-computed.disk"] == 1 << 30
    finally:
        held.machine.paas("resource:limit-clear", "--global")
        held.ssh("resource:limit-clear", APP, "--process-type", "worker")
    assert held.json("resource:report", APP) == before
    assert "resource:limit" in held.machine.paas("events", "--app", APP).text


def test_limits_of_builds(held: Held) -> None:
    held.ssh("resource:limit", APP, "--memory", "700", "--process-type", "build")
    assert held.json("resource:report", APP)["resource-build.limit.memory"] == "700"
    held.ssh("resource:limit-clear", APP, "--process-type", "build")


def test_what_is_written_on_a_host_with_cgroups_v2(tmp_path: Path) -> None:
    """Whatever this host has; the files are those of cgroup-v2.rst."""
    (tmp_path / "memory.stat").write_text("anon 50000000\nfile 80000000\nshmem 10000000\n")
    (tmp_path / "memory.current").write_text("140000000\n")

    def written() -> dict[str, str]:
        names = ("memory.max", "memory.swap.max", "memory.low", "cpu.max", "cpu.weight")
        return {name: (tmp_path / name).read_text() for name in names}

    allow_v2(tmp_path, Allowance(100 * MIB, 150 * MIB, 32 * MIB, 0.5, 1024))
    assert written() == {
        "memory.max": str(100 * MIB),
        "memory.swap.max": str(50 * MIB),
        "memory.low": str(32 * MIB),
        "cpu.max": "50000 100000",
        "cpu.weight": "39",
    }
    before = written()
    with pytest.raises(OSError, match="more memory"):
        allow_v2(tmp_path, Allowance(60 * MIB))
    assert written() == before
    allow_v2(tmp_path, Allowance(100 * MIB, -1))
    assert written()["memory.swap.max"] == "max" and written()["cpu.max"] == "max 100000"
