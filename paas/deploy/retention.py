"""Old releases: so many of each app are kept, as long as their images do not take too much of the disk."""

from __future__ import annotations

from paas.apps.properties import Properties, Property, count, size
from paas.state import releases
from paas.state.apps import App
from paas.state.database import Database

PROPERTIES = [
    Property("releases", "retention", "releases of an app that are kept, the one that serves included", count, 20),
    Property("releases", "disk", "what images may take that only old releases of an app need", size, 4 << 30),
]


class Retention:
    def __init__(self, db: Database, properties: Properties) -> None:
        self._db = db
        self._properties = properties

    def trim(self, app: App) -> list[int]:
        """Forget the oldest releases of an app beyond its limits; returns their numbers.

        The one that serves and the one before it are never among them. Their images go with the next tidying of the
        image store.
        """
        keep = self._properties.value("releases", "retention", app)
        budget = self._properties.value("releases", "disk", app)
        with self._db.transaction():
            doomed = releases.beyond(self._db, app, max(keep, 2))
            releases.delete(self._db, app, doomed)
            doomed += self._beyond_budget(app, budget)
        return doomed

    def _beyond_budget(self, app: App, budget: int) -> list[int]:
        doomed: list[int] = []
        while releases.only_in_old(self._db, app) > budget:
            oldest = releases.beyond(self._db, app, 2)[-1:]
            if not oldest:
                break
            releases.delete(self._db, app, oldest)
            doomed += oldest
        return doomed
