"""A copy of an app: what is set on it, its repository, and the release that serves as the copy's first."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from paas.apps.claims import Claims
from paas.apps.lifecycle import Apps
from paas.deploy.applying import Applier
from paas.deploy.held import AppLocks, Request
from paas.deploy.releases import ReleaseMaker
from paas.deploy.routing import Routing
from paas.faults import reached
from paas.image.store import ImageStore
from paas.names import AppName
from paas.schedulers.base import Scheduler
from paas.state import apps as app_rows
from paas.state import copying, people, releases
from paas.state.apps import App
from paas.state.database import Database


class Cloning:
    def __init__(
        self,
        db: Database,
        apps: Apps,
        claims: Claims,
        images: ImageStore,
        maker: ReleaseMaker,
        scheduler: Scheduler,
        routing: Routing,
        locks: AppLocks,
        applier: Applier,
    ) -> None:
        self._db = db
        self._apps = apps
        self._claims = claims
        self._images = images
        self._maker = maker
        self._scheduler = scheduler
        self._routing = routing
        self._locks = locks
        self._applier = applier

    def clone(self, source: App, name: AppName, request: Request, *, deploy: bool) -> App:
        """Make the copy; nothing of it stays when its release does not become healthy.

        Raises Conflict, DeployFailed.
        """
        with self._locks.hold(source, f"the cloning of {source.name}", request) as source, ExitStack() as undo:
            self._claims.check_name(name, request.who)
            made = self._apps.create(name, request.who)
            undo.callback(self._routing.apply)
            undo.callback(self._apps.delete, made)
            undo.callback(self._scheduler.destroy, made)
            self._apps.copy_repo(source, made)
            reached("clone:copied")
            for left in copying.copy_settings(self._db, source.id, made.id):
                request.out.detail(f"Not copied, as only one app can have it: port {left}")
            reached("clone:settings-copied")
            self._routing.apply()
            self._routing.update_page(made)
            if deploy:
                self._deploy(source, made, request)
            undo.pop_all()
            people.record(self._db, request.who, made.name, "clone", f"from {source.name}")
        return app_rows.by_id(self._db, made.id)

    def _deploy(self, source: App, made: App, request: Request) -> None:
        """The image, commit and processes that serve there, with what is set here."""
        current = releases.current(self._db, source)
        if current is None:
            request.out.detail(f"{source.name} has not been deployed; push to {made.name}")
            return
        with self._locks.hold(made, f"the first deploy of {made.name}", request):
            there = self._maker.wanted(source)
            wanted = replace(
                self._maker.wanted(made), procfile=there.procfile, commit=there.commit, declared=there.declared
            )
            image = self._images.image(current.image_id)
            self._applier.rollout(made, wanted, f"Clone of {source.name}", request, image=image)
        made = app_rows.by_id(self._db, made.id)
        self._routing.apply()
        for url in self._routing.urls(made):
            request.out.result(f"Application deployed: {url}")
