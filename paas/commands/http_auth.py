"""http-auth:* — a name and a password before an app is seen."""

from __future__ import annotations

from paas.apps import edge
from paas.apps.edge import AUTH, Rows, address, rows_of_allowed, rows_of_users
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, KEY, Argument, app_argument
from paas.commands.report import show
from paas.errors import InvalidInput, NotFound, UsageError
from paas.proxy.passwords import hashed, user_name
from paas.state.apps import App

_USER = Argument("user", user_name)
_PASSWORD = Argument("password", optional=True)


@command(
    "http-auth:enable",
    app_argument(),
    Argument("user", user_name, optional=True),
    _PASSWORD,
    examples=("http-auth:enable wiki", "http-auth:enable wiki anna < password.txt"),
)
def enable(ctx: Context, app: str, user: str | None, password: str | None) -> None:
    """Ask visitors of an app for a name and a password; a user can be added at once."""
    settings = ctx.platform.edge.settings
    ctx.app(app)
    made = {user: hashed(_password(ctx, password))} if user else {}

    def change(found: App) -> Rows:
        return {AUTH: "1", **(rows_of_users({**settings.users(found), **made}) if made else {})}

    ctx.platform.edge.change(app, "http-auth:enable", change, ctx.request(), "http-auth:enable", user or "")
    ctx.out.heading(f"{app} asks for a name and a password")
    found = ctx.app(app)
    if not settings.users(found) and not settings.allowed(found):
        ctx.out.warn(f"Nobody gets in yet: http-auth:add-user {app} NAME adds somebody")


@command("http-auth:disable", app_argument(), examples=("http-auth:disable wiki",))
def disable(ctx: Context, app: str) -> None:
    """Let everybody see an app again. Its users are kept."""
    ctx.platform.edge.switch(app, AUTH, False, ctx.request(), "http-auth:disable")
    ctx.out.heading(f"{app} is open to everybody")


@command(
    "http-auth:add-user",
    app_argument(),
    _USER,
    _PASSWORD,
    examples=("http-auth:add-user wiki anna < password.txt",),
)
def add_user(ctx: Context, app: str, user: str, password: str | None) -> None:
    """Add a user, or give one another password: the first line of standard input, unless it is an argument.

    Only a hash of it is kept.
    """
    settings = ctx.platform.edge.settings
    ctx.app(app)
    made = {user: hashed(_password(ctx, password))}

    def change(found: App) -> Rows:
        return rows_of_users({**settings.users(found), **made})

    ctx.platform.edge.change(app, "http-auth:add-user", change, ctx.request(), "http-auth:add-user", user)
    ctx.out.heading(f"Added {user} to {app}")
    if not settings.flag(ctx.app(app), AUTH):
        ctx.out.detail(f"Nobody is asked yet: http-auth:enable {app}")


@command("http-auth:remove-user", app_argument(), _USER, examples=("http-auth:remove-user wiki anna",))
def remove_user(ctx: Context, app: str, user: str) -> None:
    """Remove a user."""

    def change(found: App) -> Rows:
        users = ctx.platform.edge.settings.users(found)
        if user not in users:
            raise NotFound(f"{user} is not a user of {app}", hint=f"It has: {', '.join(users) or 'none'}")
        return rows_of_users({name: value for name, value in users.items() if name != user})

    ctx.platform.edge.change(app, "http-auth:remove-user", change, ctx.request(), "http-auth:remove-user", user)
    ctx.out.heading(f"Removed {user} from {app}")


_ADDRESS = Argument("ip", address)


@command("http-auth:add-allowed-ip", app_argument(), _ADDRESS, examples=("http-auth:add-allowed-ip wiki 192.0.2.0/24",))
def add_allowed_ip(ctx: Context, app: str, ip: str) -> None:
    """Ask nobody from an address, or a network, for a password."""

    def change(found: App) -> Rows:
        return rows_of_allowed(list(dict.fromkeys([*ctx.platform.edge.settings.allowed(found), ip])))

    ctx.platform.edge.change(app, "http-auth:add-allowed-ip", change, ctx.request(), "http-auth:add-allowed-ip", ip)
    ctx.out.heading(f"Added {ip} to {app}")


@command(
    "http-auth:remove-allowed-ip", app_argument(), _ADDRESS, examples=("http-auth:remove-allowed-ip wiki 192.0.2.7",)
)
def remove_allowed_ip(ctx: Context, app: str, ip: str) -> None:
    """Ask those from an address for a password again."""

    def change(found: App) -> Rows:
        allowed = ctx.platform.edge.settings.allowed(found)
        if ip not in allowed:
            raise NotFound(f"{ip} is not allowed into {app}", hint=f"There are: {', '.join(allowed) or 'none'}")
        return rows_of_allowed([other for other in allowed if other != ip])

    ctx.platform.edge.change(
        app, "http-auth:remove-allowed-ip", change, ctx.request(), "http-auth:remove-allowed-ip", ip
    )
    ctx.out.heading(f"Removed {ip} from {app}")


@command(
    "http-auth:report", FORMAT, KEY, app_argument(optional=True), examples=("http-auth:report wiki",), needs="view"
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None) -> None:
    """Show who may see an app, or each app."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    settings = ctx.platform.edge.settings
    show(
        ctx,
        "http-auth",
        [
            (
                found.name,
                {
                    "http-auth-enabled": settings.flag(found, edge.AUTH),
                    "http-auth-users": " ".join(settings.users(found)),
                    "http-auth-allowed-ips": " ".join(settings.allowed(found)),
                },
            )
            for found in apps
        ],
        format,
        KEY,
    )


def _password(ctx: Context, given: str | None) -> str:
    if given is not None:
        return given
    if ctx.tty:
        raise UsageError("The password is missing", hint="Give it on standard input, so that it is not seen: < FILE")
    line = ctx.read_line()
    if not line:
        raise InvalidInput("The password is missing", hint="Its place is the first line of standard input.")
    return line
