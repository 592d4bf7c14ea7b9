"""What a scheduler does for a deploy. `local` is the first; clusters follow the same protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from paas.model import Image, Release
from paas.names import ProcessType
from paas.output import Output
from paas.state.apps import App


@dataclass(frozen=True, slots=True)
class Rollout:
    """A release to bring into service. `commit` saves what belongs to it in the transaction that makes it current."""

    app: App
    release: Release
    image: Image
    commit: Callable[[], None] = lambda: None
    replace: Callable[[ProcessType], bool] = lambda process: False
    """Process types of which every instance is to be new although nothing changed (restart)."""
    ready: Callable[[], None] = lambda: None
    """Called when all new instances are healthy, before any gets traffic; what it raises ends the rollout."""


class Scheduler(Protocol):
    def rollout(self, rollout: Rollout, out: Output, cancelled: Callable[[], bool]) -> dict[str, float]:
        """Make the release the one that serves; returns seconds spent by stage.

        Until every new instance of every process type is healthy nothing that serves is touched. On any error, and
        when `cancelled` says yes before the switch, what was made is removed and the error raised.
        """

    def stop(self, app: App) -> None:
        """Retire all instances and start none."""

    def renamed(self, app: App) -> None:
        """Let others find an app by its new name."""

    def destroy(self, app: App) -> None:
        """End and remove everything that runs for an app, without waiting for connections to finish."""
