"""maintenance:* — a page for everybody, while an app is being worked on."""

from __future__ import annotations

from paas.apps import pages
from paas.apps.edge import MAINTENANCE
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, KEY, Flag, app_argument
from paas.commands.report import show
from paas.errors import UsageError


@command("maintenance:enable", app_argument(), examples=("maintenance:enable wiki",))
def enable(ctx: Context, app: str) -> None:
    """Show visitors of an app a page in place of the app, with status 503. What runs goes on."""
    ctx.platform.edge.switch(app, MAINTENANCE, True, ctx.request(), "maintenance:enable")
    ctx.out.heading(f"{app} is in maintenance")


@command("maintenance:disable", app_argument(), examples=("maintenance:disable wiki",))
def disable(ctx: Context, app: str) -> None:
    """Let visitors reach an app again."""
    ctx.platform.edge.switch(app, MAINTENANCE, False, ctx.request(), "maintenance:disable")
    ctx.out.heading(f"{app} is out of maintenance")


@command(
    "maintenance:custom-page",
    Flag("--reset", "the usual page again"),
    app_argument(),
    examples=("maintenance:custom-page wiki < page.html", "maintenance:custom-page wiki < page.tar"),
)
def custom_page(ctx: Context, app: str, reset: bool) -> None:
    """Give an app a maintenance page of its own: HTML, or a tar with maintenance.html and files it refers to."""
    ctx.app(app)
    if ctx.tty and not reset:
        raise UsageError("The page is missing", hint=f"paas maintenance:custom-page {app} < page.html")
    files = None if reset else pages.read(ctx.read_bytes(pages.SIZE_LIMIT))
    ctx.platform.edge.set_page(app, files, ctx.request())
    ctx.out.heading(f"{app} has {'the usual maintenance page' if reset else 'a maintenance page of its own'}")


@command(
    "maintenance:report",
    FORMAT,
    KEY,
    app_argument(optional=True),
    examples=("maintenance:report wiki", "maintenance:report wiki --maintenance-enabled"),
    needs="view",
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None) -> None:
    """Show whether an app, or each, is in maintenance."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    settings = ctx.platform.edge.settings
    show(
        ctx,
        "maintenance",
        [
            (
                found.name,
                {
                    "maintenance-enabled": settings.flag(found, MAINTENANCE),
                    "maintenance-custom-page": settings.page(found) is not None,
                },
            )
            for found in apps
        ],
        format,
        KEY,
    )
