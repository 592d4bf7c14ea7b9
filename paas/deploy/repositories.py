"""The repositories of apps stay small: they are packed, and what neither a branch nor a release has goes."""

from __future__ import annotations

import logging
import shutil
import threading

from paas.apps.lifecycle import Apps
from paas.errors import DiskFull, PaasError
from paas.output import human_bytes
from paas.source import repos
from paas.state import releases
from paas.state.apps import App
from paas.state.database import Database
from paas.system.disk import spare
from paas.system.files import tree_size

log = logging.getLogger(__name__)


class Repositories:
    def __init__(self, db: Database, apps: Apps, user: str) -> None:
        self._db = db
        self._apps = apps
        self._user = user

    def collect(self, app: App) -> tuple[int, int]:
        """Pack everything, and drop what neither a branch nor a release has had for a day.

        Returns the bytes before and after. Raises SystemFailure; DiskFull, and has changed nothing, where there is no
        room for what is packed beside what was.
        """
        repo = self._apps.repo(app)
        size, free = tree_size(repo / "objects"), shutil.disk_usage(repo).free - spare(repo)
        if free < size:
            raise DiskFull(f"The disk is full: packing takes up to {human_bytes(size)} for a while")
        self._keep(app)
        return repos.collect(repo, self._user)

    def tidy(self) -> None:
        """Those of all apps, where git finds it worth it."""
        for app in self._apps.list():
            self._tidy(app)

    def tidy_later(self, app: App) -> None:
        """After something was fetched: git packs what is pushed, and nobody what comes otherwise. Nobody waits."""
        threading.Thread(target=self._tidy, args=(app,), name="git gc", daemon=True).start()

    def _tidy(self, app: App) -> None:
        try:
            self._keep(app)
            repos.tidy(self._apps.repo(app), self._user)
        except PaasError as error:  # it may have been removed meanwhile
            log.warning("the repository of %s could not be tidied: %s", app.name, error.message)

    def _keep(self, app: App) -> None:
        """A release can be built again, although a branch has come to lead elsewhere."""
        commits = {release.commit for release in releases.listing(self._db, app) if release.commit}
        repos.keep(self._apps.repo(app), self._user, sorted(commits))
