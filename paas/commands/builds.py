"""builds:* — builds that run or have run, their output, and cancelling them."""

from __future__ import annotations

from paas.apps.access import Role
from paas.apps.build_settings import declared
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, app_argument
from paas.commands.properties import define
from paas.errors import Conflict, NotFound, UsageError
from paas.output import Hangup, pairs, to_json
from paas.settings import Settings
from paas.state import people
from paas.state.apps import App
from paas.state.builds import BuildRow

define(
    "builds",
    "records of builds",
    {item.key: item.help for item in declared(Settings()) if item.noun == "builds"},
    ("builds:set wiki retention 50",),
)


@command(
    "builds:list",
    FORMAT,
    app_argument(optional=True),
    needs="view",
    lists=True,
    examples=("builds:list wiki", "builds:list --format json"),
)
def list_builds(ctx: Context, app: str | None, format: str | None) -> None:
    """List the builds of an app, or all, the newest first."""
    found = ctx.platform.builds.listed(ctx.app(app) if app else None)
    if not ctx.grants.everywhere_at_least(Role.VIEW):
        own = {each.id for each in ctx.platform.apps.list()}
        found = [build for build in found if build.app in own]
    if format == "json":
        ctx.out.line(to_json([_fields(build) for build in found]))
        return
    rows = [
        (str(build.id), build.name, build.status, build.source[:12], build.who, build.started, _steps(build))
        for build in found
    ]
    ctx.out.table(("ID", "NAME", "STATUS", "SOURCE", "WHO", "STARTED", "STEPS"), rows)


@command(
    "builds:info",
    FORMAT,
    Argument("app-or-build", many=True),
    needs="view",
    examples=("builds:info wiki 12", "builds:info 12"),
)
def info(ctx: Context, app_or_build: list[str], format: str | None) -> None:
    """Show all that is known about one build, named by its number, or `current` for the newest."""
    build = _named(ctx, app_or_build)
    fields = _fields(build)
    if format == "json":
        ctx.out.line(to_json(fields))
        return
    ctx.out.result(f"Build {build.id} of {build.name}")
    for line in pairs((key.capitalize(), str(value)) for key, value in fields.items() if value not in ("", None)):
        ctx.out.line(line)


@command(
    "builds:output",
    Argument("app-or-build", many=True),
    needs="view",
    examples=("builds:output wiki current", "builds:output 12"),
)
def output(ctx: Context, app_or_build: list[str]) -> None:
    """Show what a build has said. One that still runs is followed to its end."""
    build = _named(ctx, app_or_build)
    for piece in ctx.platform.builds.output(build):
        if ctx.hung_up.is_set():
            raise Hangup
        if piece:
            ctx.out.raw(piece)


@command(
    "builds:cancel",
    Argument("app-or-build", many=True),
    effect="acts",
    examples=("builds:cancel wiki", "builds:cancel 12"),
)
def cancel(ctx: Context, app_or_build: list[str]) -> None:
    """Cancel the builds of an app that run or wait, or one by its number. What served before serves on.

    Named by the app, what is still fetched for a build ends as well: a repository, an archive, an image.
    """
    name = app_or_build[0]
    app: App | None = None
    number: int | None = int(name) if _is_number(ctx, name) else None
    if number is None:
        app = ctx.app(name)
        number = int(app_or_build[1]) if len(app_or_build) > 1 and app_or_build[1].isdigit() else None
    fetches = 0
    if number is not None:
        row = ctx.platform.builds.get(app, str(number))
        cancelled = ctx.platform.builds.cancel(None, row.id)
    else:
        assert app is not None
        fetches = ctx.platform.builds.cancel_fetches(app)
        cancelled = ctx.platform.builds.cancel(app)
    if not cancelled and not fetches:
        raise Conflict("No such build is running", hint="builds:list shows them all.")
    people.record(ctx.platform.db, ctx.who, app.name if app else "", "builds:cancel", " ".join(map(str, cancelled)))
    if cancelled:
        ctx.out.heading(f"Cancelled build {', '.join(map(str, cancelled))}")
    else:
        ctx.out.heading("Cancelled the fetch, before there was a build")


@command("builds:prune", app_argument(optional=True), effect="acts", examples=("builds:prune wiki",))
def prune(ctx: Context, app: str | None) -> None:
    """Forget the finished builds of an app and their output; without an app, those of `paas build`."""
    count = ctx.platform.builds.prune(ctx.app(app) if app else None)
    ctx.out.heading(f"Forgot {count} builds")


def _named(ctx: Context, words: list[str]) -> BuildRow:
    if len(words) > 2:
        raise UsageError("Name an app and a build", hint="builds:info wiki 12")
    app = None if len(words) == 1 and _is_number(ctx, words[0]) else ctx.app(words[0])
    if len(words) == 1 and app is not None:
        raise NotFound(f"Which build of {app.name}?", hint=f"Give its number, or `current`: {app.name} current")
    return ctx.platform.builds.get(app, words[-1])


def _is_number(ctx: Context, word: str) -> bool:
    """Whether a build is meant, rather than an app that is called so."""
    return word.isascii() and word.isdigit() and ctx.platform.apps.find(word) is None


def _steps(build: BuildRow) -> str:
    return f"{build.steps} ({build.cached} cached)" if build.steps else ""


def _fields(build: BuildRow) -> dict[str, str | int | None]:
    return {
        "id": build.id,
        "name": build.name,
        "status": build.status,
        "source": build.source,
        "who": build.who,
        "started": build.started,
        "ended": build.ended,
        "steps": build.steps,
        "cached": build.cached,
        "image": build.image,
        "error": build.error,
    }
