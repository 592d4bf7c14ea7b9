"""How long the ten most used commands take, on the host and over ssh, with one app and with many: growth is the ratio.

Over ssh each is a connection of its own, as a script or CI makes it. Two engines run side by side, each in a machine
made of namespaces, and are asked in turns, so that what else goes on here meets both; `version` is what a command costs
that looks at nothing. The many apps are deployed, one instance each.
Usage, as root: .venv/bin/python bench/cli.py [APPS [TURNS]]
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
    ("version",),
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
Run = Callable[..., object]


def main(apps: int, turns: int) -> None:
    with Machine() as one, Machine() as full:
        clients = [begun(machine) for machine in (one, full)]
        started = time.monotonic()
        for number in range(apps - 1):
            clients[1].ssh("apps:clone", APP, f"filling-{number}")
        print(f"{apps - 1} more apps deployed in {time.monotonic() - started:.0f} s", flush=True)
        print(
            f"{'ms, median of ' + str(turns):32}{'host: 1':>10}{apps:>8}{'ratio':>8}{'ssh: 1':>10}{apps:>8}{'ratio':>8}"
        )
        for words in COMMANDS:
            cells = ""
            sides: tuple[list[Run], ...] = ([one.paas, full.paas], [client.ssh for client in clients])
            for doors in sides:
                few, many = in_turns(doors, words, turns)
                cells += f"{few:10.1f}{many:8.1f}{many / few:8.2f}"
            print(f"{' '.join(words):32}{cells}", flush=True)


def begun(machine: Machine) -> Client:
    machine.engine_start()
    client = machine.client(admin=True)
    client.repository(APP, httpd("measured")).push(APP)
    client.ssh("config:set", APP, "KEY=value")
    return client


def in_turns(doors: list[Run], words: tuple[str, ...], turns: int) -> list[float]:
    """Milliseconds of a command at each door: medians."""
    times: list[list[float]] = [[] for _ in doors]
    for turn in range(turns + 1):
        for run, found in zip(doors, times, strict=True):
            mark = time.perf_counter()
            run(*words)
            if turn:  # the first is there to warm up
                found.append(1000 * (time.perf_counter() - mark))
    return [statistics.median(found) for found in times]


if __name__ == "__main__":
    main(int((sys.argv[1:2] or ["200"])[0]), int((sys.argv[2:3] or ["15"])[0]))
