"""Back to what an app was at an earlier release: a new release with that one's image and settings."""

from __future__ import annotations

from paas.deploy.applying import Applier
from paas.deploy.held import Request
from paas.deploy.regaining import Regaining
from paas.deploy.releases import ReleaseMaker, Wanted
from paas.deploy.routing import Routing
from paas.errors import NotFound
from paas.image.store import ImageStore
from paas.model import Release
from paas.state import apps as app_rows
from paas.state import people, releases
from paas.state.database import Database


class Rollbacks:
    def __init__(
        self,
        db: Database,
        images: ImageStore,
        maker: ReleaseMaker,
        applier: Applier,
        routing: Routing,
        regaining: Regaining,
    ) -> None:
        self._db = db
        self._images = images
        self._maker = maker
        self._applier = applier
        self._routing = routing
        self._regaining = regaining

    def rollback(self, name: str, number: int | None, request: Request) -> tuple[Release, Release]:
        """Let an app be what it was at a release, by default the one before; returns that one and the new one.

        Image, processes, what its commit declares, config vars, ports, storage, scale, domains and the properties that
        releases have are restored; what is set for all apps holds as it is now. The same checks and switch as in a
        deploy. Raises Denied for what was taken from the app since and is not the asker's to give.
        """
        with self._applier.hold(name, "a rollback", request) as app:
            current = self._applier.deployed(app)
            if number is None:
                number = releases.before(self._db, app, current.number)
            if number is None:
                raise NotFound(
                    f"{app.name} has no release before {current.number}", hint=f"See those kept: releases {app.name}"
                )
            old = releases.get(self._db, app, number)
            self._regaining.check(app, old.settings, request.who)
            procfile = {process.type: process.command for process in old.processes}
            wanted = Wanted(old.settings, procfile, old.commit, old.declared)
            release, _ = self._applier.rollout(
                app,
                wanted,
                f"Rollback to {old.number}",
                request,
                image=self._images.image(old.image_id),
                save=lambda: self._maker.save(app, old.settings),
            )
            self._routing.apply()
            people.record(self._db, request.who, app.name, "rollback", f"to {old.number} as {release.number}")
            self._routing.update_page(app_rows.by_id(self._db, app.id))
            return old, release
