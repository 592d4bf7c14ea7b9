"""Containers by what people type: a name, a process of an app, the beginning of an id."""

from __future__ import annotations

from dataclasses import dataclass

from paas.errors import Conflict, NotFound
from paas.model import InstanceState
from paas.names import AppName, nearest, shown
from paas.state import containers, releases
from paas.state.containers import ContainerRow
from paas.state.database import Database
from paas.state.releases import InstanceRow


@dataclass(frozen=True, slots=True)
class Found:
    """A container of its own (`row`), or one of an app (`instance`); never both."""

    id: str
    name: str
    row: ContainerRow | None = None
    instance: InstanceRow | None = None

    @property
    def app(self) -> AppName | None:
        return self.instance.instance.app if self.instance else None


def every(db: Database) -> list[Found]:
    """All containers, those of apps last."""
    return [
        *(Found(row.id, row.name, row=row) for row in containers.listing(db)),
        *(
            Found(row.instance.id, f"{row.instance.app}.{row.instance.name}", instance=row)
            for row in releases.instances(db)
        ),
    ]


def find(db: Database, text: str) -> Found:
    """By name, or by the beginning of an id that no other has. Raises NotFound, with near matches."""
    known = every(db)
    named = [found for found in known if text in (found.name, found.id)]
    if named:  # an app's process may have several while it is replaced: the one that serves is meant
        serving = [f for f in named if f.instance and f.instance.instance.state is InstanceState.RUNNING]
        return (serving or named)[0]
    beginning = [found for found in known if text and found.id.startswith(text)]
    if len(beginning) == 1:
        return beginning[0]
    if beginning:
        raise NotFound(f"{shown(text)} is the beginning of several containers' ids", hint="Give more of it.")
    close = nearest(text, [found.name for found in known])
    raise NotFound(
        f"There is no container {shown(text)}",
        hint=f"Did you mean {', '.join(close)}?" if close else "ps -a shows all containers.",
    )


_INSTEAD = {
    "stop": "ps:stop {app} stops it with all its processes.",
    "start": "ps:start {app} starts it with all its processes.",
    "restart": "ps:restart {app} {process} replaces it without losing a request.",
    "kill": "ps:restart {app} {process} replaces it.",
    "rm": "ps:scale {app} {process}=COUNT says how many of them run; apps:destroy {app} removes them all.",
    "rename": "apps:rename {app} NEW-NAME renames the app.",
}


def own(db: Database, text: str, verb: str) -> ContainerRow:
    """One that belongs to no app. Raises NotFound; Conflict, with the app's command, for an app's container."""
    found = find(db, text)
    if found.row is not None:
        return found.row
    assert found.instance is not None
    instance = found.instance.instance
    instead = _INSTEAD.get(verb, "ps:report {app} shows what it runs; ps:stop {app} and ps:restart {app} change that.")
    raise Conflict(
        f"{found.name} belongs to app {instance.app}: {verb} is not for it",
        hint=instead.format(app=instance.app, process=instance.process),
    )
