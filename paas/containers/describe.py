"""Containers in the words of `docker ps`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from paas.containers.health import STARTING
from paas.model import InstanceState, PortMap
from paas.state.containers import ContainerRow, State
from paas.state.releases import InstanceRow


def ago(time: str, at: datetime | None = None) -> str:
    """How long a time of the database has passed: `7 seconds`, `About an hour`, `3 weeks`."""
    then = datetime.fromisoformat(time.replace("Z", "+00:00"))
    seconds = int(((at or datetime.now(UTC)) - then).total_seconds())
    minutes, hours = seconds // 60, round(seconds / 3600)
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    for hours_each, below, unit in ((1, 48, "hours"), (24, 24 * 14, "days"), (24 * 7, 24 * 60, "weeks")):
        if hours < below:
            return f"{hours // hours_each} {unit}"
    return f"{hours // 24 // 30} months" if hours < 24 * 365 * 2 else f"{hours // 24 // 365} years"


def status(row: ContainerRow) -> str:
    """`Up 7 seconds (healthy)`, `Exited (0) 2 minutes ago`."""
    match row.state:
        case State.RUNNING:
            health = f"health: {row.health}" if row.health == STARTING else row.health
            return f"Up {ago(row.started)}" + (f" ({health})" if health else "")
        case State.PAUSED:
            return f"Up {ago(row.started)} (Paused)"
        case State.RESTARTING:
            return f"Restarting ({row.exit_code or 0}) {ago(row.finished)} ago"
        case State.EXITED:
            return f"Exited ({row.exit_code or 0}) {ago(row.finished)} ago"
        case State.REMOVING:
            return "Removal In Progress"
    return "Created"


def instance_status(row: InstanceRow) -> str:
    """The same for an app's container."""
    state = row.instance.state
    if state is InstanceState.CRASHED:
        return "Restarting"
    note = {InstanceState.STARTING: " (health: starting)", InstanceState.DRAINING: " (draining)"}.get(state, "")
    return f"Up {ago(row.started)}{note}"


def ports(maps: Sequence[PortMap]) -> str:
    """`0.0.0.0:8080->80/tcp`, each."""
    return ", ".join(f"0.0.0.0:{port.host}->{port.container}/{port.scheme}" for port in maps)


def command(words: Sequence[str], limit: int = 20) -> str:
    """The words in quotes, cut."""
    text = " ".join(words)
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return '"' + cut.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
