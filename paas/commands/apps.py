"""apps:* — making, naming, copying, locking, showing and destroying apps."""

from __future__ import annotations

from paas.apps.build_settings import cache_scope
from paas.apps.lifecycle import PROPERTIES
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORCE, FORMAT, GLOBAL, KEY, Argument, Flag, app_argument
from paas.commands.properties import define
from paas.commands.report import Report, show
from paas.errors import Conflict
from paas.names import AppName
from paas.output import to_json
from paas.state import apps as app_rows
from paas.state import releases
from paas.state.apps import App

define(
    "apps",
    "apps",
    {item.key: item.help for item in PROPERTIES},
    ("apps:set --global disable-autocreation true",),
    report=False,
)
SKIP_DEPLOY = Flag("--skip-deploy", "deploy nothing")


@command("apps:create", Argument("app", AppName), needs="anyone", effect="changes", examples=("apps:create wiki",))
def create(ctx: Context, app: AppName) -> None:
    """Create an app.

    Pushing to an app that does not exist creates it as well, unless apps:set disables that. It takes the role deploy
    on all apps, or the role create; whoever makes an app may deploy it.
    """
    ctx.allows_creation(app)
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
    for row in ctx.platform.detached.of(found):
        ctx.platform.detached.stop(row)
    ctx.platform.changes.destroy(found.name, ctx.request())
    ctx.platform.builds.drop_output(builds)
    ctx.platform.caches.prune(cache_scope(found))
    ctx.platform.builds.tidy(None)
    ctx.platform.kept_logs.sweep()
    ctx.out.heading(f"Destroyed {found.name}")


@command("apps:list", FORMAT, needs="view", lists=True, examples=("apps:list", "apps:list --format json"))
def list_apps(ctx: Context, format: str | None) -> None:
    """List the apps that you may see."""
    names = [app.name for app in ctx.platform.apps.list()]
    if format == "json":
        ctx.out.line(to_json(names))
        return
    ctx.out.result("My Apps")
    for name in names:
        ctx.out.line(name)


@command("apps:exists", app_argument(), needs="view", examples=("apps:exists wiki && echo yes",))
def exists(ctx: Context, app: str) -> None:
    """Succeed if the app exists, else fail."""
    ctx.app(app)


@command(
    "apps:rename",
    Flag("--skip-deploy", "as Dokku has it; nothing has to be deployed for a new name"),
    app_argument(),
    Argument("new-name", AppName),
    examples=("apps:rename wiki notes",),
)
def rename(ctx: Context, app: str, new_name: AppName, skip_deploy: bool) -> None:
    """Give an app another name, and with it another default hostname. It keeps running, and its roles stay."""
    ctx.platform.changes.rename(app, new_name, ctx.request())
    ctx.out.heading(f"Renamed {app} to {new_name}")


@command(
    "apps:clone",
    SKIP_DEPLOY,
    Flag("--ignore-existing", "succeed, and do nothing, when there is an app of the new name"),
    app_argument(),
    Argument("new-name", AppName),
    examples=("apps:clone wiki wiki-staging", "apps:clone --skip-deploy wiki wiki-next"),
)
def clone(ctx: Context, app: str, new_name: AppName, skip_deploy: bool, ignore_existing: bool) -> None:
    """Make an app like another: its settings, config vars, storage and repository, and the release that serves.

    Hostnames and certificates stay with the old one, and so do tcp and udp ports, which only one app can have. Both
    apps mount the same directories.
    """
    source = ctx.app(app)
    if ignore_existing and ctx.platform.apps.find(new_name) is not None:
        ctx.out.heading(f"{new_name} exists already")
        return
    ctx.allows_creation(new_name)
    made = ctx.platform.cloning.clone(source, new_name, ctx.request(), deploy=not skip_deploy)
    ctx.out.heading(f"Cloned {source.name} to {made.name}")


@command("apps:lock", app_argument(), effect="acts", examples=("apps:lock wiki",))
def lock(ctx: Context, app: str) -> None:
    """Lock an app: pushes and all changes are refused until apps:unlock. What is under way ends as it would."""
    found = ctx.app(app)
    db = ctx.platform.db
    if not app_rows.lock(db, found.id, ctx.who.name):
        held = app_rows.lock_of(db, found.id)
        by = f" by {held.who} since {held.at}" if held else ""
        raise Conflict(f"{found.name} is locked already{by}", hint=f"apps:unlock {found.name}")
    ctx.out.heading(f"Locked {found.name}")


@command("apps:locked", app_argument(), needs="view", examples=("apps:locked wiki && echo yes",))
def locked(ctx: Context, app: str) -> None:
    """Succeed if the app is locked, else fail."""
    found = ctx.app(app)
    held = app_rows.lock_of(ctx.platform.db, found.id)
    if held is None:
        raise Conflict("Deploy lock does not exist")
    ctx.out.heading(f"Deploy lock exists: by {held.who} since {held.at}")


@command("apps:unlock", app_argument(), effect="acts", examples=("apps:unlock wiki",))
def unlock(ctx: Context, app: str) -> None:
    """Let pushes and changes in again."""
    found = ctx.app(app)
    if not app_rows.unlock(ctx.platform.db, found.id):
        ctx.out.warn(f"{found.name} was not locked")
        return
    ctx.out.heading(f"Unlocked {found.name}")


@command(
    "apps:report",
    GLOBAL,
    FORMAT,
    KEY,
    app_argument(optional=True),
    needs="view",
    examples=("apps:report wiki", "apps:report --global"),
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None, **flags: bool) -> None:
    """Show what is known of one app, or of all; or what holds for all."""
    if flags["global"]:
        off = ctx.platform.properties.value("apps", "disable-autocreation", None)
        show(ctx, "app", [("global", {"app-global-disable-autocreation": off})], format, KEY)
        return
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    show(ctx, "app", [(found.name, _report(ctx, found)) for found in apps], format, KEY)


def _report(ctx: Context, app: App) -> Report:
    release = releases.current(ctx.platform.db, app)
    held = app_rows.lock_of(ctx.platform.db, app.id)
    return {
        "app-created-at": app.created,
        "app-locked": held is not None,
        "app-locked-by": held.who if held else None,
        "app-locked-at": held.at if held else None,
        "app-deployed": release is not None,
        "app-running": release is not None and not app.stopped,
        "app-release": release.number if release else None,
        "app-commit": release.commit if release else None,
        "app-image": release.image_id if release else None,
        "app-deployed-at": release.created if release else None,
        "app-deployed-by": release.who if release else None,
    }
