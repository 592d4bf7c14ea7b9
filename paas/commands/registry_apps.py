"""registry:* — the registry that an app's images are pushed to."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import GLOBAL, Argument, Flag
from paas.commands.properties import define
from paas.commands.report import Report
from paas.deploy.publishing import PROPERTIES
from paas.errors import NotFound, UsageError
from paas.registry.credentials import Login
from paas.registry.registries import registry_name
from paas.state import people
from paas.state.apps import App

_PASSWORD_LIMIT = 64 << 10


def _target(ctx: Context, app: App) -> Report:
    return {"registry-computed-image": ctx.platform.pipeline.publisher.repository(app)}


define(
    "registry",
    "the registry that images are pushed to",
    {item.key: item.help for item in PROPERTIES},
    (
        "registry:set wiki server registry.example.com",
        "registry:set wiki image-repo team/wiki",
        "registry:set wiki push-on-release true",
        "registry:set --global push-extra-tags latest",
    ),
    of_app=_target,
    admin=True,
)


@command(
    "registry:login",
    GLOBAL,
    Flag("--password-stdin", "take the password from the input"),
    Argument("app-or-server-user-password", many=True),
    admin=True,
    examples=(
        "registry:login --password-stdin registry.example.com robot <token",
        "registry:login --password-stdin wiki registry.example.com robot <token",
    ),
)
def login(ctx: Context, app_or_server_user_password: list[str], password_stdin: bool, **flags: bool) -> None:
    """Keep a login for a registry, [<app>] <server> <user> [<password>], once the registry has accepted it.

    With an app it is used for what is pushed of that app; otherwise for everything, as with `login`. A password that
    is not given comes from the input, where no other user of a machine sees it.
    """
    app, words = _app(ctx, app_or_server_user_password, flags["global"])
    if not 2 <= len(words) <= 3 or (password_stdin and len(words) == 3):
        raise UsageError(
            "Name the registry and the user", hint="registry:login --password-stdin [<app>] <server> <user> <FILE"
        )
    server, user = registry_name(words[0]), words[1]
    if len(words) == 3:
        password = words[2]
    else:
        if ctx.tty and not password_stdin:
            raise UsageError("The password is missing", hint="Send it through the input: --password-stdin <FILE")
        password = ctx.read_all(_PASSWORD_LIMIT).rstrip("\r\n")
    if not password:
        raise UsageError("The password is empty")
    ctx.platform.registries.log_in(server, Login(user, password), ctx.hung_up.is_set, app.id if app else None)
    people.record(ctx.platform.db, ctx.who, app.name if app else "", "registry:login", f"{user} {server}")
    ctx.out.heading(f"Login succeeded: {user} at {server}" + (f" for {app.name}" if app else ""))


@command(
    "registry:logout",
    GLOBAL,
    Argument("app-or-server", many=True),
    admin=True,
    examples=("registry:logout registry.example.com", "registry:logout wiki registry.example.com"),
)
def logout(ctx: Context, app_or_server: list[str], **flags: bool) -> None:
    """Forget the login for a registry, that for all or that of an app: [<app>] <server>."""
    app, words = _app(ctx, app_or_server, flags["global"])
    if len(words) != 1:
        raise UsageError("Name the registry", hint="registry:logout [<app>] <server>")
    server = registry_name(words[0])
    if not ctx.platform.registries.log_out(server, app.id if app else None):
        raise NotFound(f"Not logged in to {server}" + (f" for {app.name}" if app else ""))
    people.record(ctx.platform.db, ctx.who, app.name if app else "", "registry:logout", server)
    ctx.out.heading(f"Forgot the login for {server}")


def _app(ctx: Context, words: list[str], for_all: bool) -> tuple[App | None, list[str]]:
    """A first word that is the name of an app is that app."""
    app = None if for_all else ctx.platform.apps.find(words[0])
    return (app, words[1:]) if app is not None else (None, list(words))
