"""git:* — what pushes do."""

from __future__ import annotations

import re

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, Argument, app_argument
from paas.commands.report import show
from paas.deploy.pipeline import DEPLOY_BRANCH
from paas.errors import Denied, InvalidInput, UsageError
from paas.names import nearest, shown
from paas.state import apps, people

_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


@command(
    "git:set",
    GLOBAL,
    Argument("app-key-value", many=True),
    examples=(
        "git:set wiki deploy-branch production",
        "git:set wiki deploy-branch",
        "git:set --global deploy-branch main",
    ),
)
def set_property(ctx: Context, app_key_value: list[str], **flags: bool) -> None:
    """Set a property of pushes; without a value the default holds again.

    deploy-branch: the branch whose pushes deploy (default: main and master).
    """
    words = list(app_key_value)
    app = None if flags["global"] else ctx.app(words.pop(0))
    if app is None and not ctx.who.admin:
        raise Denied("Only an admin key may change what holds for all apps")
    if len(words) not in (1, 2):
        raise UsageError("Name a property", hint="Usage: git:set <app>|--global <key> [<value>]")
    key, value = words[0], words[1] if len(words) == 2 else ""
    if key != DEPLOY_BRANCH:
        close = nearest(key, [DEPLOY_BRANCH])
        raise InvalidInput(
            f"{shown(key)} is not a property of git", hint=f"Did you mean {close[0]}?" if close else None
        )
    if value and (not _BRANCH.fullmatch(value) or ".." in value or value.endswith(("/", ".lock", "."))):
        raise InvalidInput(f"{shown(value)} is not a branch name")
    apps.set_property(ctx.platform.db, app.id if app else apps.GLOBAL, key, value or None)
    people.record(ctx.platform.db, ctx.who, app.name if app else "", "git", f"{key} {value or 'unset'}")
    ctx.out.heading(f"Set {key} to {value}" if value else f"Unset {key}")


@command("git:report", FORMAT, app_argument(optional=True), examples=("git:report wiki",))
def report(ctx: Context, app: str | None, format: str | None) -> None:
    """Show what pushes to one app, or to all, do."""
    found = [ctx.app(app)] if app else ctx.platform.apps.list()
    db = ctx.platform.db
    show(
        ctx,
        "git",
        [
            (
                each.name,
                {
                    "git-deploy-branch": apps.property(db, each.id, DEPLOY_BRANCH),
                    "git-global-deploy-branch": apps.property(db, apps.GLOBAL, DEPLOY_BRANCH),
                    "git-computed-deploy-branch": ctx.platform.pipeline.deploy_branch(each) or "main or master",
                },
            )
            for each in found
        ],
        format,
    )
