"""nginx:* — how nginx serves an app, and what it has to say about it."""

from __future__ import annotations

from paas.commands import properties
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Flag, app_argument
from paas.errors import InvalidInput, NotFound, PaasError
from paas.names import shown
from paas.proxy.logs import LogKind
from paas.proxy.settings import SETTINGS
from paas.state.apps import App


def _save(ctx: Context, app: App | None, key: str, value: str | None) -> None:
    ctx.platform.edge.set_property(app.name if app else None, "nginx", key, value, ctx.request())


properties.define(
    "nginx",
    "nginx for an app or for all",
    {s.key: f"{s.help} (default {s.default})" if s.default else s.help for s in SETTINGS},
    ("nginx:set wiki client-max-body-size 200m", "nginx:set --global hsts false", "nginx:set wiki proxy-read-timeout"),
    save=_save,
)


@command("nginx:show-config", app_argument(), examples=("nginx:show-config wiki",), needs="view")
def show_config(ctx: Context, app: str) -> None:
    """Print the nginx configuration of an app, as nginx runs it."""
    ctx.out.line(ctx.platform.proxy.config(ctx.app(app).name))


@command(
    "nginx:validate-config",
    Flag("--clean", "take back the nginx settings of an app whose configuration is refused"),
    app_argument(optional=True),
    examples=("nginx:validate-config", "nginx:validate-config wiki --clean"),
)
def validate_config(ctx: Context, app: str | None, clean: bool) -> int:
    """Let nginx look at the configuration of an app, or of each, alone: the others are not touched by what it finds.

    An app whose configuration is refused is served by the one it had before, until it is mended.
    """
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    wrong = 0
    for found in apps:
        try:
            problem = ctx.platform.proxy.problem(found.name)
        except NotFound as error:
            if app is not None:
                raise
            ctx.out.detail(error.message)
            continue
        if problem is None:
            ctx.out.heading(f"{found.name}: the configuration is valid")
            continue
        ctx.out.warn(f"{found.name}: {problem}")
        wrong += not (clean and _clean(ctx, found))
    return 1 if wrong else 0


def _clean(ctx: Context, app: App) -> bool:
    """Whether the app has a valid configuration now."""
    try:
        ctx.platform.edge.clear_nginx(app.name, ctx.request())
    except PaasError as error:
        ctx.out.warn(f"{app.name}: its nginx settings are not the cause: {error.message}")
        return False
    ctx.out.heading(f"{app.name}: its nginx settings have been taken back")
    return True


def _lines(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 6):
        raise InvalidInput(f"{shown(text)} is not a number of lines")
    return int(text)


_TAIL = Flag("--tail", "go on as lines are written", short="-t")
_NUM = Flag("--num", "how many lines (default 20)", "NUMBER", parse=_lines, short="-n")


@command(
    "nginx:access-logs",
    _TAIL,
    _NUM,
    app_argument(),
    examples=("nginx:access-logs wiki", "nginx:access-logs wiki -t"),
    needs="view",
)
def access_logs(ctx: Context, app: str, tail: bool, num: int | None) -> None:
    """Show the last requests to an app, as nginx logged them."""
    _show(ctx, ctx.app(app), "access", tail, num)


@command(
    "nginx:error-logs",
    _TAIL,
    _NUM,
    app_argument(),
    examples=("nginx:error-logs wiki", "nginx:error-logs wiki -n 50"),
    needs="view",
)
def error_logs(ctx: Context, app: str, tail: bool, num: int | None) -> None:
    """Show the last errors that nginx logged for an app."""
    _show(ctx, ctx.app(app), "error", tail, num)


def _show(ctx: Context, app: App, kind: LogKind, tail: bool, num: int | None) -> None:
    logs = ctx.platform.proxy.logs
    following = logs.follow(app.name, kind, ctx.hung_up)
    for line in logs.tail(app.name, kind, 20 if num is None else num):
        ctx.out.line(line)
    if tail:
        for line in following:
            ctx.out.line(line)


@command("nginx:reload", admin=True, examples=("nginx:reload",))
def reload(ctx: Context) -> None:
    """Let nginx read everything anew, certificates too. No connection is lost."""
    if ctx.platform.proxy.is_stopped:
        raise NotFound("nginx is stopped", hint="nginx:start")
    ctx.platform.routing.apply(force=True)
    ctx.out.heading("nginx serves with a new configuration")


@command("nginx:start", admin=True, examples=("nginx:start",))
def start(ctx: Context) -> None:
    """Start nginx after nginx:stop."""
    started = ctx.platform.proxy.start_serving()
    ctx.out.heading("nginx serves" if started else "nginx runs already")


@command("nginx:stop", admin=True, examples=("nginx:stop",))
def stop(ctx: Context) -> None:
    """Serve no app until nginx:start. What is being answered is finished."""
    ctx.platform.proxy.stop_serving()
    ctx.out.heading("nginx is stopped: no app is served")
