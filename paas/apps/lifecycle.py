"""Making, naming and finding apps. What runs is not known here."""

from __future__ import annotations

from pathlib import Path

from paas.apps.properties import Property, boolean
from paas.faults import reached
from paas.model import Who
from paas.names import AppName
from paas.paths import Paths
from paas.source import repos
from paas.state import apps, people
from paas.state.apps import App
from paas.state.database import Database
from paas.system.files import remove_tree

PROPERTIES = [
    Property("apps", "disable-autocreation", "a push to an app that does not exist is refused", boolean, False, True),
]


class Apps:
    """The apps of this machine and their repositories."""

    def __init__(self, db: Database, paths: Paths, user: str) -> None:
        self._db = db
        self._paths = paths
        self._user = user

    @property
    def parts(self) -> tuple[Database, Paths, str]:
        """What it was made from."""
        return self._db, self._paths, self._user

    def get(self, name: str) -> App:
        """Raises AppNotFound, with near matches."""
        return apps.get(self._db, name)

    def find(self, name: str) -> App | None:
        return apps.find(self._db, name)

    def list(self) -> list[App]:
        return apps.listing(self._db)

    def create(self, name: AppName, who: Who) -> App:
        """Whoever makes it may deploy it. Raises Conflict when the name is taken."""
        with self._db.transaction():
            app = apps.insert(self._db, name)
            people.grant_creator(self._db, who.name, app.id)
        reached("create:recorded")
        try:
            self._remove_files(app)  # ids are given again, and whoever removed the last one may have been killed
            repos.init_bare(self.repo(app), self._user)
        except BaseException:
            apps.delete(self._db, app.id)
            raise
        return app

    def repo(self, app: App) -> Path:
        """The app's bare repository. It is named by the app's id, so that a rename moves nothing."""
        return self._paths.repos / f"{app.id}.git"

    def copy_repo(self, source: App, target: App) -> None:
        """Give an app the branches and commits of another."""
        repos.copy(self.repo(source), self.repo(target), self._user)

    def rename(self, app: App, name: AppName) -> App:
        apps.rename(self._db, app.id, name)
        return apps.get(self._db, name)

    def delete(self, app: App) -> None:
        """Forget an app that has no instances any more, and remove its repository, certificate and pages."""
        apps.delete(self._db, app.id)
        reached("destroy:row-deleted")
        self._remove_files(app)

    def _remove_files(self, app: App) -> None:
        for kept in (self.repo(app), self._paths.certificates / str(app.id), self._paths.maintenance / str(app.id)):
            remove_tree(kept)
        self._paths.logins_of(app.id).unlink(missing_ok=True)
