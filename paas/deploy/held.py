"""An app while it is being changed: one change at a time, others queue and are told so."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from paas.errors import Conflict
from paas.model import Who
from paas.output import Output
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database
from paas.system.locks import NamedLocks


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for a change, where to tell them about it, and whether they have hung up."""

    who: Who
    out: Output
    cancelled: Callable[[], bool]


class AppLocks:
    def __init__(self, db: Database, locks: NamedLocks) -> None:
        self._db = db
        self._locks = locks

    @contextlib.contextmanager
    def hold(self, app: App, purpose: str, request: Request) -> Iterator[App]:
        """The app as it is once the lock is held: it may have been renamed.

        Raises AppNotFound, Cancelled; Conflict when somebody has locked it against changes.
        """
        with self._locks.hold(
            str(app.id),
            purpose,
            waiting=lambda holder: request.out.detail(f"Waiting for {holder} to finish..."),
            cancelled=request.cancelled,
        ):
            self.refuse_if_locked(app)
            yield apps.by_id(self._db, app.id)

    def refuse_if_locked(self, app: App) -> None:
        """Raises Conflict while an apps:lock holds."""
        lock = apps.lock_of(self._db, app.id)
        if lock is not None:
            raise Conflict(
                f"{app.name} has been locked by {lock.who} since {lock.at}: nothing is deployed or changed",
                hint=f"Whoever may deploy it can release it: apps:unlock {app.name}",
            )

    def refuse_if_held(self, app: App) -> None:
        """Raises Conflict while somebody else changes the app."""
        holder = self._locks.holder(str(app.id))
        if holder is not None:
            raise Conflict(f"{app.name} is busy: {holder}", hint="Wait until that has ended, then try again.")
