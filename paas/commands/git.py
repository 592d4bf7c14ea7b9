"""git:* — what pushes do, and the state of an app's repository."""

from __future__ import annotations

from paas.apps.build_settings import SOURCE_IMAGE
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, app_argument
from paas.commands.properties import define
from paas.commands.report import Report, show
from paas.deploy.pipeline import FETCHED, PROPERTIES
from paas.errors import Conflict
from paas.model import NO_REVISION
from paas.source import repos
from paas.state import apps as app_rows
from paas.state import people, releases
from paas.state.apps import App


def _deployed(ctx: Context, app: App) -> Report:
    release = releases.current(ctx.platform.db, app)
    return {
        "git-source-image": app_rows.property(ctx.platform.db, app.id, SOURCE_IMAGE) or "",
        "git-sha": release.commit if release else "",
        "git-last-updated-at": release.created if release else "",
    }


define(
    "git",
    "pushes and other sources",
    {item.key: item.help for item in PROPERTIES},
    (
        "git:set wiki deploy-branch production",
        "git:set wiki deploy-branch",
        "git:set wiki rev-env-var SOURCE_VERSION",
        "git:set wiki rev-env-var ''",
        "git:set --global archive-max-size 200m",
    ),
    of_app=_deployed,
    empty={"rev-env-var": NO_REVISION},
)


@command("git:status", FORMAT, app_argument(), needs="view", examples=("git:status wiki",))
def status(ctx: Context, app: str, format: str | None) -> None:
    """Show which branch deploys an app, what it has, and what of it is deployed."""
    found = ctx.app(app)
    platform = ctx.platform
    repo, user = platform.apps.repo(found), platform.settings.user
    chosen = platform.pipeline.deploy_branch(found)
    branch = chosen or repos.head_branch(repo, user) or "master"
    head = repos.commit_of(repo, f"refs/heads/{branch}", user)
    release = releases.current(platform.db, found)
    fetched = app_rows.property(platform.db, found.id, FETCHED)
    report: Report = {
        "git-branch": branch,
        "git-deploy-branches": chosen or "main, master",
        "git-head": head or "",
        "git-subject": repos.subject_of(repo, head, user) if head else "",
        "git-deployed": release.commit if release else "",
        "git-release": release.number if release else None,
        "git-fetched": fetched or "",
        "git-up-to-date": release is not None and head == release.commit,
    }
    show(ctx, "git", [(found.name, report)], format)
    if fetched and format != "json":
        ctx.out.detail(f"What was fetched is not deployed yet: ps:rebuild {found.name}")


@command("git:initialize", app_argument(), examples=("git:initialize wiki",))
def initialize(ctx: Context, app: str) -> None:
    """Make an app's repository if it is missing. The hook that deploys is the server's own and needs no renewal."""
    found = ctx.app(app)
    repos.init_bare(ctx.platform.apps.repo(found), ctx.platform.settings.user)
    people.record(ctx.platform.db, ctx.who, found.name, "git:initialize")
    ctx.out.heading(f"The repository of {found.name} is ready")


@command("git:unlock", app_argument(), examples=("git:unlock wiki",))
def unlock(ctx: Context, app: str) -> None:
    """Remove lock files that a git which was killed has left in an app's repository.

    Locks of deploys end with those who hold them; a deploy that takes too long is ended by builds:cancel.
    """
    found = ctx.app(app)
    try:
        ctx.platform.changes.refuse_if_busy(found)
    except Conflict as error:
        raise Conflict(error.message, hint=f"To end it: builds:cancel {found.name}") from None
    removed = repos.remove_locks(ctx.platform.apps.repo(found), ctx.platform.settings.user)
    people.record(ctx.platform.db, ctx.who, found.name, "git:unlock", " ".join(removed))
    ctx.out.heading(f"Removed {', '.join(removed)}" if removed else f"Nothing is locked in {found.name}")
