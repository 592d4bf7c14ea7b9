"""apps:* — making, naming, showing and destroying apps."""

from __future__ import annotations

from paas.apps.build_settings import cache_scope
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORCE, FORMAT, Argument, app_argument
from paas.commands.report import Report, show
from paas.names import AppName
from paas.output import to_json
from paas.state import releases
from paas.state.apps import App


@command("apps:create", Argument("app", AppName), examples=("apps:create wiki",))
def create(ctx: Context, app: AppName) -> None:
    """Create an app.

    Pushing to an app that does not exist creates it as well.
    """
    ctx.platform.changes.create(app, ctx.request())
    ctx.out.heading(f"Creating {app}...")


@command("apps:destroy", FORCE, app_argument(), examples=("apps:destroy wiki", "apps:destroy wiki --force"))
def destroy(ctx: Context, app: str, force: bool) -> None:
    """Destroy an app: its containers, releases, config vars, domains and repository.

    The directories mounted into it (storage:mount) stay. The app's name has to be typed, unless --force is given.
    """
    found = ctx.app(app)
    ctx.platform.changes.refuse_if_busy(found)
    ctx.confirm(found.name, f"This destroys {found.name} and everything that belongs to it.", force)
    builds = ctx.platform.builds.listed(found)
    ctx.platform.changes.destroy(found.name, ctx.request())
    ctx.platform.builds.drop_output(builds)
    ctx.platform.caches.prune(cache_scope(found))
    ctx.platform.builds.tidy(None)
    ctx.out.heading(f"Destroyed {found.name}")


@command("apps:list", FORMAT, examples=("apps:list", "apps:list --format json"))
def list_apps(ctx: Context, format: str | None) -> None:
    """List the apps."""
    names = [app.name for app in ctx.platform.apps.list()]
    if format == "json":
        ctx.out.line(to_json(names))
        return
    ctx.out.result("My Apps")
    for name in names:
        ctx.out.line(name)


@command("apps:exists", app_argument(), examples=("apps:exists wiki && echo yes",))
def exists(ctx: Context, app: str) -> None:
    """Succeed if the app exists, else fail."""
    ctx.app(app)


@command("apps:rename", app_argument(), Argument("new-name", AppName), examples=("apps:rename wiki notes",))
def rename(ctx: Context, app: str, new_name: AppName) -> None:
    """Give an app another name, and with it another default hostname. It keeps running."""
    ctx.platform.changes.rename(app, new_name, ctx.request())
    ctx.out.heading(f"Renamed {app} to {new_name}")


@command("apps:report", FORMAT, app_argument(optional=True), examples=("apps:report wiki",))
def report(ctx: Context, app: str | None, format: str | None) -> None:
    """Show what is known of one app, or of all."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    show(ctx, "app", [(found.name, _report(ctx, found)) for found in apps], format)


def _report(ctx: Context, app: App) -> Report:
    release = releases.current(ctx.platform.db, app)
    return {
        "app-created-at": app.created,
        "app-deployed": release is not None,
        "app-running": release is not None and not app.stopped,
        "app-release": release.number if release else None,
        "app-commit": release.commit if release else None,
        "app-image": release.image_id if release else None,
        "app-deployed-at": release.created if release else None,
        "app-deployed-by": release.who if release else None,
    }
