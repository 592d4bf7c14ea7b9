"""A push, from git's hook to the URL: one call per stage."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from paas.apps.build_settings import SOURCE_IMAGE, BuildSettings
from paas.apps.lifecycle import Apps
from paas.apps.properties import Properties, Property, boolean, count, size
from paas.buildpacks.planning import Plan
from paas.deploy import repository
from paas.deploy.applying import Applier
from paas.deploy.builds import Build, Builds
from paas.deploy.held import AppLocks, Request
from paas.deploy.hooks import Hooks
from paas.deploy.packing import Packing
from paas.deploy.publishing import Publisher
from paas.deploy.releases import REVISION, ReleaseMaker
from paas.deploy.routing import Routing
from paas.errors import Conflict, InvalidInput
from paas.faults import reached
from paas.model import NULL_COMMIT, Push, Release, Source, Who
from paas.output import Output, human_bytes
from paas.source import repos
from paas.source.directory import DirectoryTree
from paas.source.remotes import branch
from paas.source.tree import GitTree
from paas.source.updates import decide
from paas.state import apps as app_rows
from paas.state import people, releases
from paas.state.apps import App
from paas.state.database import Database

log = logging.getLogger(__name__)

FETCHED = "git:fetched"
"""The row of an app's properties with the commit that has come and has not been deployed."""


def no_git_dir(text: str) -> bool:
    """Raises InvalidInput for all but false."""
    if boolean(text):
        raise InvalidInput(
            "Builds read the tree of a commit as it lies in git: there is no .git directory that could be kept",
            hint="The commit is in GIT_REV; for builds: docker-options:add APP build --build-arg GIT_REV",
        )
    return False


PROPERTIES = [
    Property("git", "deploy-branch", "the branch whose pushes deploy (by default main and master)", branch),
    Property("git", "keep-git-dir", "false: builds get no .git directory", no_git_dir, False),
    REVISION,
    Property("git", "push-max-files", "files and directories of a pushed commit", count, 200_000, True),
    Property("git", "push-max-file-size", "bytes of the largest file of a push", size, 1 << 30, True),
    Property("git", "push-max-refs", "branches and tags in one push", count, 5_000, True),
    Property("git", "archive-max-size", "bytes of an archive, and of what is in it", size, 1 << 30),
    Property("git", "archive-max-files", "files in an archive", count, 10_000),
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
        hooks: Hooks,
        applier: Applier,
        routing: Routing,
        locks: AppLocks,
        publisher: Publisher,
        packing: Packing,
        user: str,
    ) -> None:
        self._db = db
        self._apps = apps
        self._builds = builds
        self._settings = settings
        self._properties = properties
        self._maker = maker
        self._hooks = hooks
        self._applier = applier
        self._routing = routing
        self._locks = locks
        self.publisher = publisher
        self._packing = packing
        self._user = user

    def push(self, push: Push, out: Output, cancelled: Callable[[], bool]) -> None:
        """What git asks before it accepts a push. Raises what makes it refuse."""
        app = self._apps.get(push.app)
        self._check_size(push)
        commits = [update.new for update in push.updates if update.new != NULL_COMMIT]
        if repos.is_shallow_push(push.repo, push.quarantine, commits, self._user):
            raise InvalidInput(
                "The push comes from a shallow clone, which has a part of the history only",
                hint="Get the rest, then push again: git fetch --unshallow (in CI: a fetch depth of 0)",
            )
        decision = decide(push.updates, self.deploy_branch(app))
        for note in decision.notes:
            out.warn(note)
        if decision.deploy is not None:
            source = Source(app.name, push.repo, decision.deploy.new, push.quarantine)
            branch = decision.deploy.ref.removeprefix("refs/heads/")
            self.deploy(
                app,
                source,
                f"Push to {branch}",
                Request(push.who, out, cancelled),
                save=lambda: app_rows.set_property(self._db, app.id, SOURCE_IMAGE, None),
                skip=self._properties.value("ps", "skip-deploy", app),
            )
            repos.point_head(push.repo, branch, self._user)

    def packs(self, app: App, tree: GitTree, out: Output) -> Plan:
        """How buildpacks would build a commit of an app. Raises BuildFailed, InvalidInput, NotFound."""
        return self._packing.plan(app, tree, self._read(app, tree, out))

    def packs_of_directory(self, tree: DirectoryTree, out: Output) -> Plan:
        """The same for a directory. Raises BuildFailed, InvalidInput, NotFound, Conflict."""
        return self._packing.plan_directory(tree, out)

    def _read(self, app: App, tree: GitTree, out: Output) -> repository.Said:
        """What a commit says; the tree is then the directory that is to be built."""
        tree.enter(self._settings.directory(app))
        value = self._properties.value
        return repository.read(tree, value("app-json", "appjson-path", app), value("ps", "procfile-path", app), out)

    def _check_size(self, push: Push) -> None:
        """Raises InvalidInput for more than the machine takes; git itself has looked at the size of the whole."""
        most = self._properties.value("git", "push-max-refs", None)
        if len(push.updates) > most:
            raise InvalidInput(
                f"There are {len(push.updates)} branches and tags in this push; {most} are taken at once",
                hint="Push one branch: git push paas master",
            )
        most = self._properties.value("git", "push-max-file-size", None)
        if push.quarantine is not None:
            oid, size = repos.largest_object(push.repo, push.quarantine, self._user)
            if size > most:
                raise InvalidInput(
                    f"Object {oid[:12]} of the push has {human_bytes(size)}; files here may have {human_bytes(most)}",
                    hint=f"Which file it is: git rev-list --objects --all | grep {oid[:12]}",
                )

    def rebuild(self, app: App, request: Request) -> None:
        """Build the deployed commit again, or what has come since and was not deployed, and deploy the result."""
        release = releases.current(self._db, app)
        fetched = app_rows.property(self._db, app.id, FETCHED)
        if fetched is None and release is None:
            raise Conflict(f"{app.name} has not been deployed", hint="Push to it first: git push paas master")
        commit = fetched or (release.commit if release else "")
        source = Source(app.name, self._apps.repo(app), commit)
        self.deploy(app, source, "Rebuild", request)

    def deploy(
        self,
        app: App,
        source: Source,
        why: str,
        request: Request,
        *,
        save: Callable[[], None] = lambda: None,
        skip: bool = False,
        base: str = "",
    ) -> None:
        """Source -> image -> release -> instances -> route. On any error the previous release serves on.

        `save` is called in the transaction that makes the new one serve. `base` is the id of an image that the
        Dockerfile may name beside those of the app's own releases. With `skip` it ends with the image: a later
        rebuild deploys the commit.
        """
        with (
            self._builds.record(app, app.name, source.commit, request) as build,
            self._locks.hold(app, f"a deploy of {app.name}", build.request) as app,
        ):
            self._deploy(app, source, why, build, save, skip, base)

    def _deploy(
        self, app: App, source: Source, why: str, build: Build, save: Callable[[], None], skip: bool, base: str
    ) -> None:
        times: dict[str, float] = {}
        request = build.request
        out = request.out
        route = self._routing.route(app)
        self._routing.update_page(app, deploying=True)
        with ExitStack() as undo:
            undo.callback(self._routing.update_page, app)
            mark = time.monotonic()
            options = self._settings.options(app, self._maker.revision(app, source.commit))
            options = replace(options, images=options.images | {base})
            with GitTree(source, self._user, self._properties.value("git", "push-max-files", None)) as tree:
                for note in repository.left_out(tree):
                    out.warn(note)
                said = self._read(app, tree, out)
                wanted = self._hooks.wanted(app, source.commit, said, request.who)
                options = said.options(options)
                if self._packing.wanted(app, tree, options):
                    said, options = self._packing.packed(app, tree, said, options, request)
                    wanted = replace(wanted, procfile=said.procfile)
                out.heading(f"Building {app.name} from " + ("its buildpacks" if options.text else "Dockerfile"))
                if tree.entry("nginx.conf.sigil") is not None:
                    out.warn(
                        "nginx.conf.sigil is not used: apps bring no templates here; nginx:set has the usual settings"
                    )
                image = self._builds.image(build, tree, options)
            times["build"] = time.monotonic() - mark
            if skip:
                app_rows.set_property(self._db, app.id, FETCHED, source.commit)
                out.heading(f"Built, not deployed: skip-deploy is set (ps:rebuild {app.name} deploys it)")
                return
            build.status("deploying")

            save_settings = self._hooks.saving(app, wanted)

            def saved() -> None:
                app_rows.set_property(self._db, app.id, FETCHED, None)
                save()
                save_settings()

            mark = time.monotonic()
            image = self._hooks.before(app, wanted, said, image, options.limits, build, why)
            times["tasks"] = time.monotonic() - mark
            reached("deploy:built")
            self.publisher.publish(app, image, out, request.cancelled)
            out.heading(f"Deploying {app.name}")
            release, stages = self._applier.rollout(
                app,
                wanted,
                why,
                request,
                image=image,
                save=saved,
                ready=partial(self._hooks.after, app, said, image, build),
            )
            times |= stages
            undo.pop_all()
        app = app_rows.by_id(self._db, app.id)
        if self._routing.route(app) != route:
            self._routing.apply()
        reached("deploy:routed")
        self._announce(app, release, request.who, times, out)

    def deploy_branch(self, app: App) -> str | None:
        """The branch that deploys, None for main and master."""
        return self._properties.value("git", "deploy-branch", app) or None

    def _announce(self, app: App, release: Release, who: Who, times: dict[str, float], out: Output) -> None:
        stages = " ".join(f"{stage}={1000 * seconds:.0f}ms" for stage, seconds in times.items())
        commit = release.commit[:12]
        people.record(self._db, who, app.name, "deploy", f"release {release.number} commit {commit} {stages}")
        reached("deploy:announced")
        urls = self._routing.urls(app)
        if len(urls) == 1:
            out.result(f"Application deployed: {urls[0]}")
        else:
            out.result("Application deployed:" if urls else "Application deployed; it has no domain (domains:add)")
            for url in urls:
                out.detail(url)
        if self._routing.has_provisional_name(app):
            out.detail("No domain is set; this name leads to the server's address by itself. To have your own:")
            out.detail(f"domains:set {app.name} HOSTNAME, or for all apps domains:set-global DOMAIN")
