"""A push, from git's hook to the URL: one call per stage."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from paas.apps.build_settings import BuildSettings
from paas.apps.lifecycle import Apps
from paas.apps.processes import parse_procfile
from paas.apps.properties import Properties, Property
from paas.deploy.applying import Applier
from paas.deploy.builds import Build, Builds
from paas.deploy.held import AppLocks, Request
from paas.deploy.releases import ReleaseMaker
from paas.deploy.routing import Routing
from paas.errors import Conflict, InvalidInput
from paas.model import Push, Release, Source, Who
from paas.names import ProcessType, shown
from paas.output import Output
from paas.source.tree import GitTree
from paas.source.updates import decide
from paas.state import apps as app_rows
from paas.state import people, releases
from paas.state.apps import App
from paas.state.database import Database

log = logging.getLogger(__name__)

_PROCFILE_LIMIT = 64 << 10
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


def branch(text: str) -> str:
    """Raises InvalidInput."""
    if not _BRANCH.fullmatch(text) or ".." in text or text.endswith(("/", ".lock", ".")):
        raise InvalidInput(f"{shown(text)} is not a branch name")
    return text


PROPERTIES = [
    Property("git", "deploy-branch", "the branch whose pushes deploy (by default main and master)", branch),
]


class Pipeline:
    def __init__(
        self,
        db: Database,
        apps: Apps,
        builds: Builds,
        settings: BuildSettings,
        properties: Properties,
        maker: ReleaseMaker,
        applier: Applier,
        routing: Routing,
        locks: AppLocks,
        user: str,
    ) -> None:
        self._db = db
        self._apps = apps
        self._builds = builds
        self._settings = settings
        self._properties = properties
        self._maker = maker
        self._applier = applier
        self._routing = routing
        self._locks = locks
        self._user = user

    def push(self, push: Push, out: Output, cancelled: Callable[[], bool]) -> None:
        """What git asks before it accepts a push. Raises what makes it refuse."""
        app = self._apps.get(push.app)
        decision = decide(push.updates, self.deploy_branch(app))
        for note in decision.notes:
            out.warn(note)
        if decision.deploy is not None:
            source = Source(app.name, push.repo, decision.deploy.new, push.quarantine)
            branch = decision.deploy.ref.removeprefix("refs/heads/")
            self.deploy(app, source, f"Push to {branch}", Request(push.who, out, cancelled))

    def rebuild(self, app: App, request: Request) -> None:
        """Build the deployed commit again and deploy the result."""
        release = releases.current(self._db, app)
        if release is None:
            raise Conflict(f"{app.name} has not been deployed", hint="Push to it first: git push paas master")
        source = Source(app.name, self._apps.repo(app), release.commit)
        self.deploy(app, source, "Rebuild", request)

    def deploy(self, app: App, source: Source, why: str, request: Request) -> Release:
        """Source -> image -> release -> instances -> route. On any error the previous release serves on."""
        with (
            self._builds.record(app, app.name, source.commit, request) as build,
            self._locks.hold(app, f"a deploy of {app.name}", build.request) as app,
        ):
            return self._deploy(app, source, why, build)

    def _deploy(self, app: App, source: Source, why: str, build: Build) -> Release:
        times: dict[str, float] = {}
        request = build.request
        out = request.out
        route = self._routing.route(app)
        self._routing.update_page(app, deploying=True)
        with ExitStack() as undo:
            undo.callback(self._routing.update_page, app)
            mark = time.monotonic()
            with GitTree(source, self._user) as tree:
                tree.enter(self._settings.directory(app))
                out.heading(f"Building {app.name} from Dockerfile")
                if tree.entry("nginx.conf.sigil") is not None:
                    out.warn(
                        "nginx.conf.sigil is not used: apps bring no templates here; nginx:set has the usual settings"
                    )
                image = self._builds.image(build, tree, self._settings.options(app))
                procfile = _procfile(tree)
            times["build"] = time.monotonic() - mark
            build.status("deploying")
            wanted = replace(self._maker.wanted(app), commit=source.commit, procfile=procfile)
            release, stages = self._applier.rollout(app, wanted, why, request, image=image)
            times |= stages
            undo.pop_all()
        app = app_rows.by_id(self._db, app.id)
        if self._routing.route(app) != route:
            self._routing.apply()
        self._announce(app, release, request.who, times, out)
        return release

    def deploy_branch(self, app: App) -> str | None:
        """The branch that deploys, None for main and master."""
        return self._properties.value("git", "deploy-branch", app) or None

    def _announce(self, app: App, release: Release, who: Who, times: dict[str, float], out: Output) -> None:
        stages = " ".join(f"{stage}={1000 * seconds:.0f}ms" for stage, seconds in times.items())
        commit = release.commit[:12]
        people.record(self._db, who, app.name, "deploy", f"release {release.number} commit {commit} {stages}")
        urls = self._routing.urls(app)
        if len(urls) == 1:
            out.result(f"Application deployed: {urls[0]}")
        else:
            out.result("Application deployed:" if urls else "Application deployed; it has no domain (domains:add)")
            for url in urls:
                out.detail(url)


def _procfile(tree: GitTree) -> dict[ProcessType, tuple[str, ...] | None]:
    entry = tree.entry("Procfile")
    if entry is None:
        return {}
    if entry.kind != "file":
        raise InvalidInput("Procfile is not a file")
    try:
        return dict(parse_procfile(tree.read(entry, limit=_PROCFILE_LIMIT).decode()))
    except UnicodeDecodeError:
        raise InvalidInput("Procfile is not UTF-8 text") from None
