"""What is set about an app's cron tasks, apart from its releases: those that are suspended."""

from __future__ import annotations

import json

from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database

_KEY = "cron:suspended"


def suspended(db: Database, app: App) -> set[tuple[str, str]]:
    """(schedule, command) of each: an id would not stay when the app gets another name."""
    return {(schedule, text) for schedule, text in json.loads(apps.property(db, app.id, _KEY) or "[]")}


def set_suspended(db: Database, app: App, tasks: set[tuple[str, str]]) -> None:
    apps.set_property(db, app.id, _KEY, json.dumps(sorted(tasks)) if tasks else None)
