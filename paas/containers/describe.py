"""Containers in the words of `docker ps`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from paas.containers.health import STARTING
from paas.model import InstanceState, PortMap
from paas.output import since
from paas.state.containers import ContainerRow, State
from paas.state.releases import InstanceRow


def status(row: ContainerRow) -> str:
    """`Up 7 seconds (healthy)`, `Exited (0) 2 minutes ago`."""
    match row.state:
        case State.RUNNING:
            health = f"health: {row.health}" if row.health == STARTING else row.health
            return f"Up {since(row.started)}" + (f" ({health})" if health else "")
        case State.PAUSED:
            return f"Up {since(row.started)} (Paused)"
        case State.RESTARTING:
            return f"Restarting ({row.exit_code or 0}) {since(row.finished)} ago"
        case State.EXITED:
            return f"Exited ({row.exit_code or 0}) {since(row.finished)} ago"
        case State.REMOVING:
            return "Removal In Progress"
    return "Created"


def instance_status(row: InstanceRow) -> str:
    """The same for an app's container."""
    state = row.instance.state
    if state is InstanceState.CRASHED:
        return "Restarting"
    if state is InstanceState.ENDED:
        return "Exited"
    note = {InstanceState.STARTING: " (health: starting)", InstanceState.DRAINING: " (draining)"}.get(state, "")
    return f"Up {since(row.started)}{note}"


def host_end(port: PortMap) -> str:
    """`0.0.0.0:8080`, `127.0.0.1:8080`."""
    return f"{port.address or '0.0.0.0'}:{port.host}"


def ports(maps: Sequence[PortMap]) -> str:
    """`0.0.0.0:8080->80/tcp`, each."""
    return ", ".join(f"{host_end(port)}->{port.container}/{port.scheme}" for port in maps)


def command(words: Sequence[str], limit: int = 20) -> str:
    """The words in quotes, cut."""
    text = " ".join(words)
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return '"' + cut.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
