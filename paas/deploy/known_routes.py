"""The routes of all apps, each made once as long as what it is made of stays the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from paas.apps.domains import Domains
from paas.routes import Route
from paas.state import apps, routed
from paas.state.apps import App
from paas.state.database import Database


@dataclass(frozen=True, slots=True)
class _Known:
    app: App
    values: tuple[object, ...]
    own: tuple[str, ...]
    taken: tuple[bool, ...]
    """Which of the hostnames it would have below the global domains were given to another app."""
    route: Route | None


class KnownRoutes:
    """Thread-safe."""

    def __init__(self, db: Database, domains: Domains, make: Callable[[App], Route | None]) -> None:
        """`make(app)`: from the database alone; None for an app that nginx does not serve."""
        self._db = db
        self._domains = domains
        self._make = make
        self._common: object = None
        self._known: dict[int, _Known] = {}

    def all(self) -> list[Route]:
        """By the names of their apps."""
        with self._db.still():  # what is read here is what `make` reads
            if (common := routed.common(self._db)) != self._common:
                self._known = {}
            bases, owners = self._domains.bases(), routed.owners(self._db)
            own = defaultdict[int, list[str]](list)
            for hostname, owner in owners.items():
                own[owner].append(hostname)
            found: dict[int, _Known] = {}
            for id, values in routed.every(self._db):
                known = self._known.get(id)
                fresh = known is None or known.values != values
                app = apps.by_id(self._db, id) if known is None or fresh else known.app
                names = tuple(own.get(id, ()))
                taken = tuple(name in owners for name in self._domains.inherited(app, bases))
                if known is None or fresh or (known.own, known.taken) != (names, taken):
                    known = _Known(app, values, names, taken, self._make(app))
                found[id] = known
            self._common, self._known = common, found
        return [known.route for known in found.values() if known.route is not None]
