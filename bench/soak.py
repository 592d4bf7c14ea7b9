"""A week in minutes: random changes of random apps with random kills, and what that leaves behind.

Each step is one command by one user (a push, config:set, ps:scale, ps:restart, releases:rollback, domains, destroy and
create anew); in some of them something is killed meanwhile (the engine, conmon, an instance, nginx, the front door). A
step may fail when something was killed; an app may never serve another body than that of its last release. Every
REPORT steps, once all is quiet, what the kernel and the disk have is compared with the state (tests/harness/leaks.py)
and counted. It fails when anything is left over, or has grown beyond the budgets below.

A step follows from the seed and its number alone: `--from N` goes on from there, with apps made anew.
Usage, as root: .venv/bin/python bench/soak.py [--steps 2000] [--seed 1] [--from 0] [--apps 6] [--kills 0.15]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paas.errors import SystemFailure
from tests.harness.soaking import Soak
from tests.machine import Machine

REPORT = 100
BUDGETS: Mapping[str, tuple[float, float]] = {
    "engine MB": (1.30, 20),
    "door MB": (1.30, 20),
    "fds": (1.0, 8),
    "threads": (1.0, 6),
    "mounts": (1.0, 4),
    "links": (1.0, 2),
    "nft": (1.0, 12),
    "cgroups": (1.0, 4),
    "processes": (1.0, 6),
    "disk MB": (1.5, 200),
}
"""At the end against the first report: at most so many times as much, or so many more. Disk has room for the releases
that are kept."""
OF_AN_INSTANCE: Mapping[str, int] = {"fds": 2, "mounts": 4, "links": 1, "cgroups": 1, "processes": 3}
"""How many of these each instance has; they are not counted against the budgets."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--apps", type=int, default=6)
    parser.add_argument("--kills", type=float, default=0.15)
    parser.add_argument("--report", type=int, default=REPORT)
    parser.add_argument("--minutes", type=float, default=0, help="end after so many minutes; 0: after all steps")
    options = parser.parse_args()
    base = os.environ.get("PAAS_TEST_BASE")
    with Machine({"drain_timeout": "2"}, disk=Path(base) if base else None) as machine:
        machine.engine_start(timeout=120)
        problems = soak(Soak(machine, options.seed, options.apps, options.kills), options)
    print("PASS" if not problems else "FAIL: " + "; ".join(problems), flush=True)
    return bool(problems)


def soak(run: Soak, options: argparse.Namespace) -> list[str]:
    """Take the steps, print figures; returns what is wrong."""
    began, first = time.monotonic(), dict[str, float]()
    last = first
    print(f"seed {options.seed}, {options.apps} apps; every {options.report} steps, when all is quiet:")
    for number in range(options.first, options.first + options.steps):
        try:
            run.step(number)
        except (AssertionError, SystemFailure) as error:
            return [f"{error} (the last steps: {', '.join(run.journal[-5:])})"]
        over = bool(options.minutes) and time.monotonic() - began > 60 * options.minutes
        if (number + 1) % options.report == 0 or over:
            try:
                run.quiet()
            except AssertionError as error:
                return [f"step {number}: {error}"]
            last = run.figures()
            first = first or last
            shown = "  ".join(f"{name} {value:.0f}" for name, value in last.items())
            print(f"{number + 1:6} {time.monotonic() - began:6.0f} s  {run.killed} kills, {run.failed} failed  {shown}")
            sys.stdout.flush()
        if over:
            break
    return grown(first, last)


def grown(first: Mapping[str, float], last: Mapping[str, float]) -> list[str]:
    """What is beyond its budget."""

    def own(figures: Mapping[str, float], name: str) -> float:
        return figures[name] - OF_AN_INSTANCE.get(name, 0) * figures["instances"]

    return [
        f"{name} grew from {first[name]:.0f} to {last[name]:.0f}"
        for name, (times, more) in BUDGETS.items()
        if own(last, name) > max(own(first, name) * times, own(first, name) + more)
    ]


if __name__ == "__main__":
    sys.exit(main())
