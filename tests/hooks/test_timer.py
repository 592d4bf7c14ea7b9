"""That the engine runs cron tasks by itself. The last of these tests: the app was deployed by the first."""

from __future__ import annotations

from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.hooks.conftest import TIMED


def test_the_timer_runs_them(timer: Client, timed: Repository) -> None:
    def log() -> str:
        return timer.ssh("logs", TIMED, "--ps", "cron", "-q", check=False).text

    wait_until(lambda: "every minute" in log(), "it has run", 75)
    assert "never" not in log()
