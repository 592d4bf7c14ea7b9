"""How every change reaches what runs: the setting and the release that has it are saved in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

from paas.apps.lifecycle import Apps
from paas.deploy.held import AppLocks, Request
from paas.deploy.releases import ReleaseMaker, Wanted
from paas.deploy.retention import Retention
from paas.deploy.routing import Routing
from paas.errors import Conflict
from paas.faults import reached
from paas.image.store import ImageStore
from paas.model import Image, Release
from paas.names import ProcessType
from paas.schedulers.base import Rollout, Scheduler
from paas.state import apps as app_rows
from paas.state import people, releases
from paas.state.apps import App
from paas.state.database import Database


class Applier:
    def __init__(
        self,
        db: Database,
        apps: Apps,
        images: ImageStore,
        maker: ReleaseMaker,
        scheduler: Scheduler,
        routing: Routing,
        locks: AppLocks,
        retention: Retention,
    ) -> None:
        self._db = db
        self._apps = apps
        self._images = images
        self._maker = maker
        self._scheduler = scheduler
        self._routing = routing
        self._locks = locks
        self._retention = retention

    def hold(self, name: str, purpose: str, request: Request) -> AbstractContextManager[App]:
        """The app, which nobody else changes inside the block. Raises AppNotFound, Cancelled."""
        app = self._apps.get(name)
        return self._locks.hold(app, f"{purpose} of {app.name}", request)

    def deployed(self, app: App) -> Release:
        """The release that serves. Raises Conflict when there is none."""
        release = releases.current(self._db, app)
        if release is None:
            raise Conflict(f"{app.name} has not been deployed", hint="Push to it first: git push paas master")
        return release

    def apply(
        self, app: App, wanted: Wanted, save: Callable[[], None], why: str, request: Request, *, restart: bool = True
    ) -> None:
        """Save a change; where the app runs, together with the release that has it."""
        if app.release is None or app.stopped or not restart:
            with self._db.transaction():
                save()
            reached("change:saved")
        else:
            self.rollout(app, wanted, why, request, save=save)
        people.record(self._db, request.who, app.name, "change", why)

    def rollout(
        self,
        app: App,
        wanted: Wanted,
        why: str,
        request: Request,
        *,
        image: Image | None = None,
        replace: Callable[[ProcessType], bool] = lambda kind: False,
        save: Callable[[], None] = lambda: None,
        ready: Callable[[Release], None] = lambda release: None,
    ) -> tuple[Release, dict[str, float]]:
        """Make a release and let it serve; returns it with the seconds spent by stage. No image: that which serves.

        `replace` names the process types whose instances are to be new although nothing changed; `ready` is called when
        they are healthy, before the switch. On any error nothing is saved and the former release serves on.
        """
        if image is None:
            image = self._images.image(self.deployed(app).image_id)
        with ExitStack() as undo:
            release = self._maker.make(app, wanted, image, request.who, why)
            undo.callback(self._maker.forget, app, release)
            rollout = Rollout(app, release, image, save, replace, lambda: ready(release))
            times = self._scheduler.rollout(rollout, request.out, request.cancelled)
            undo.pop_all()
        app = app_rows.by_id(self._db, app.id)
        self._routing.update_page(app)
        self._retention.trim(app)
        reached("release:old-ones-trimmed")
        return release, times
