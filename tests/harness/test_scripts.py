"""scripts/demo, on a machine of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.paths import PROJECT
from paas.system.run import Completed
from tests.harness.waiting import wait_until
from tests.machine import Machine

CLONE = "/mnt/paas"
DEMO = f"{CLONE}/scripts/demo"


@pytest.fixture
def fresh(base_disk: Path) -> Iterator[Machine]:
    """A machine without an engine, with the project in a directory that only root may enter, as /root often is.

    What the scripts put into /usr/local/bin stays in it.
    """
    with Machine(disk=base_disk) as machine:
        machine.run(["mount", "-t", "tmpfs", "tmpfs", "/usr/local/bin"])
        machine.run(["mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", "/mnt"])
        machine.run(["mkdir", CLONE])
        machine.run(["mount", "--bind", str(PROJECT), CLONE])
        yield machine


def demo(machine: Machine, *words: str, check: bool = True) -> Completed:
    work = {"PAAS_DEMO_DIR": str(machine.disk / "demo"), "HOME": str(machine.disk)}
    return machine.run([DEMO, *words], env=work, timeout=600, check=check)


def test_the_demo_serves_a_wiki_changes_nothing_when_run_again_and_ends_without_a_trace(fresh: Machine) -> None:
    # The base image is there already: making it is another test's, and this directory is the demo's all the same.
    (fresh.data_dir / "made-by-demo").touch()
    first = demo(fresh)
    assert "Your wiki: http://wiki." in first.text
    assert "This page is yours" in fresh.get("wiki").text
    before = fresh.paas("events").text
    started = time.monotonic()

    second = demo(fresh)

    assert time.monotonic() - started < 10
    assert "Your wiki" in second.text and "push" not in second.error
    assert fresh.paas("events").text == before

    demo(fresh, "stop")

    assert not fresh.data_dir.exists()
    assert not (fresh.disk / "demo").exists()
    assert not fresh.run_dir.exists()
    assert not fresh.run(["ls", "/usr/local/bin"]).text
    assert fresh.run(["nft", "list", "ruleset"]).text == ""
    assert set(fresh.run(["ps", "-e", "-o", "comm="]).text.split()) == {"catatonit", "ps"}
    assert fresh.run(["ip", "-brief", "link"]).text.count("\n") == 2


@pytest.mark.parametrize("port", [80, 2222])
def test_the_demo_names_who_holds_a_port_it_needs(fresh: Machine, port: int) -> None:
    fresh.start(["busybox", "httpd", "-f", "-p", str(port), "-h", str(fresh.disk)])
    listening = ["ss", "-Hltn", f"sport = :{port}"]
    wait_until(lambda: fresh.run(listening).text, "the other program listens")

    refused = demo(fresh, check=False)

    assert refused.status == 1
    assert f"Port {port} is taken by busybox (pid " in refused.error
    assert fresh.paas("version", check=False).status != 0
