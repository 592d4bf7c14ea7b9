"""What a commit says about its app, brought into a deploy: settings before it is built, tasks around the switch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from paas.apps import appjson
from paas.apps.environment import Environment
from paas.build.options import BuildLimits
from paas.deploy.builds import Build
from paas.deploy.declaring import Declaring, differences, heading
from paas.deploy.releases import ReleaseMaker, Wanted
from paas.deploy.repository import Said
from paas.deploy.tasks import Tasks, script
from paas.errors import InvalidInput
from paas.model import Image, Release, Who
from paas.state.apps import App


class Hooks:
    def __init__(self, maker: ReleaseMaker, declaring: Declaring, environment: Environment, tasks: Tasks) -> None:
        self._maker = maker
        self._declaring = declaring
        self._environment = environment
        self._tasks = tasks

    def wanted(self, app: App, commit: str, said: Said, who: Who) -> Wanted:
        """What is set on the app, with what the commit says. Raises PaasError before anything is built."""
        wanted = self._maker.wanted(app)
        settings = self._declaring.settings(app, wanted.settings, said.paasyml, who)
        if settings != wanted.settings:
            self._maker.check(app, settings)
            wanted = replace(wanted, settings=settings)
        present = self._environment.with_globals({**said.declared.config, **wanted.settings.config})
        try:
            changes = appjson.changed_config(said.env, present, first=app.release is None)
        except InvalidInput as error:
            raise InvalidInput(error.message, hint=(error.hint or "").replace(" APP ", f" {app.name} ")) from None
        self._environment.changes(app, dict(changes))
        if changes:
            wanted = wanted.but(config={**wanted.settings.config, **changes})
        return replace(wanted, commit=commit, procfile=said.procfile, declared=said.declared)

    def before(
        self, app: App, wanted: Wanted, said: Said, image: Image, limits: BuildLimits, build: Build, why: str
    ) -> Image:
        """predeploy, which may change the image, and the release task; returns the image to deploy."""
        before = self._maker.wanted(app).settings
        for line in differences(before, wanted.settings):
            build.out.heading(heading(line))
        if said.has_app_json:
            build.out.heading("Processing app.json")
            for key, value in wanted.settings.config.items():
                if before.config.get(key) != value:
                    build.out.detail(f"Setting {key}")
        if said.scripts.predeploy:
            release = self._maker.draft(app, wanted, image, build.request.who, why)
            image = self._tasks.predeploy(release, image, said.scripts.predeploy, limits, build)
        if said.release_task:
            release = self._maker.draft(app, wanted, image, build.request.who, why)
            self._tasks.run(release, image, "release", said.release_task, build)
        return image

    def after(self, app: App, said: Said, image: Image, build: Build, release: Release) -> None:
        """postdeploy, and on the first deploy that of the first: all is up, nothing has been switched yet."""
        scripts = said.scripts
        for text, due in ((scripts.postdeploy, True), (scripts.first_postdeploy, app.release is None)):
            if text and due:
                self._tasks.run(release, image, "postdeploy", script(text), build)

    def saving(self, app: App, wanted: Wanted) -> Callable[[], None]:
        """What saves the settings that the commit has changed, if it has; for the transaction of the switch."""
        if wanted.settings == self._maker.wanted(app).settings:
            return lambda: None
        return lambda: self._maker.save(app, wanted.settings)
