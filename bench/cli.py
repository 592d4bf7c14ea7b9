"""How long the ten most used commands take, on the host and over ssh, with one app and with many: growth is the ratio.

Over ssh each is a connection of its own, as a script or CI makes it. Runs an engine of its own in a machine made of
namespaces; the many apps are deployed, one instance each. Usage, as root: .venv/bin/python bench/cli.py [APPS [TURNS]]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.harness.apps import httpd
from tests.harness.client import Client
from tests.machine import Machine

APP = "measured"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("apps:list",),
    ("config:show", APP),
    ("config:get", APP, "KEY"),
    ("config:set", APP, "KEY=value"),
    ("logs", APP, "--num", "10"),
    ("ps:report", APP),
    ("ps:scale", APP),
    ("domains:report", APP),
    ("releases", APP),
    ("urls", APP),
)
"""config:set with the value that is set already: what it costs to find out that there is nothing to do."""
Times = dict[str, float]


def main(apps: int, turns: int) -> None:
    with Machine() as machine:
        machine.engine_start()
        client = machine.client(admin=True)
        client.repository(APP, httpd("measured")).push(APP)
        client.ssh("config:set", APP, "KEY=value")
        doors: dict[str, Callable[[tuple[str, ...]], object]] = {
            "host": lambda words: machine.paas(*words),
            "ssh": lambda words: client.ssh(*words),
        }
        few = {door: measure(run, turns) for door, run in doors.items()}
        started = time.monotonic()
        fill(client, apps - 1)
        print(f"{apps - 1} more apps pushed in {time.monotonic() - started:.0f} s")
        many = {door: measure(run, turns) for door, run in doors.items()}
    print(f"{'ms, median of ' + str(turns):32}{'host: 1':>10}{apps:>8}{'ratio':>8}{'ssh: 1':>10}{apps:>8}{'ratio':>8}")
    for words in COMMANDS:
        name = " ".join(words)
        cells = ""
        for door in doors:
            one, all = few[door][name], many[door][name]
            cells += f"{one:10.1f}{all:8.1f}{all / one:8.2f}"
        print(f"{name:32}{cells}")


def fill(client: Client, count: int) -> None:
    repository = client.repository("filling", httpd("filling"))
    for number in range(count):
        repository.push(f"filling-{number}")


def measure(run: Callable[[tuple[str, ...]], object], turns: int) -> Times:
    """Milliseconds by command."""
    found: Times = {}
    for words in COMMANDS:
        run(words)
        times = []
        for _ in range(turns):
            mark = time.perf_counter()
            run(words)
            times.append(1000 * (time.perf_counter() - mark))
        found[" ".join(words)] = statistics.median(times)
    return found


if __name__ == "__main__":
    main(int((sys.argv[1:2] or ["200"])[0]), int((sys.argv[2:3] or ["15"])[0]))
