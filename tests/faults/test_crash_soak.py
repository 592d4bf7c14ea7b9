"""A few steps of what bench/soak.py does for hours."""

from __future__ import annotations

from tests.conftest import MachineMaker
from tests.harness.soaking import Soak

STEPS = 6


def test_changes_and_kills_leave_nothing(new_machine: MachineMaker) -> None:
    soak = Soak(new_machine({"drain_timeout": "1"}), seed=8, apps=2, kills=0.5)
    for number in range(STEPS):
        soak.step(number)
    assert soak.killed
    soak.quiet()
