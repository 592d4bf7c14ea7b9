"""config:* — config vars. Values are shown when asked for, and never echoed or logged."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from paas.apps.environment import parse_assignments
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, Argument, Flag
from paas.errors import UsageError
from paas.output import pairs, to_json
from paas.state import people
from paas.state.apps import App

NO_RESTART = Flag("--no-restart", "save only; the next deploy or restart uses it")
MERGED = Flag("--merged", "with the global ones, as the app's processes get them")


def owner_of(ctx: Context, app: str | None, all_apps: bool) -> App | None:
    """Whose config vars a command is about: the app's, or None for those of all. Raises UsageError, AppNotFound."""
    if all_apps:
        if app is not None:
            raise UsageError("An app and --global contradict each other", hint="Leave one of them out.")
        return None
    if app is None:
        raise UsageError("<app> is missing", hint="Name an app, or say --global.")
    return ctx.app(app)


def values_of(ctx: Context, app: App | None, merged: bool) -> dict[str, str]:
    environment = ctx.platform.environment
    return environment.merged(app) if merged and app is not None else environment.own(app)


def _split(ctx: Context, words: Sequence[str], all_apps: bool) -> tuple[App | None, list[str]]:
    """With --global all words are the command's own, else the first is the app."""
    if all_apps or not words:
        return owner_of(ctx, None, all_apps), list(words)
    return owner_of(ctx, words[0], False), list(words[1:])


@command(
    "config:show",
    GLOBAL,
    MERGED,
    FORMAT,
    Argument("app", optional=True),
    aliases=("config",),
    effect="reads",
    examples=("config:show wiki", "config:show wiki --merged", "config:show --global"),
)
def show(ctx: Context, app: str | None, format: str | None, merged: bool, **flags: bool) -> None:
    """Show the config vars of an app."""
    found = owner_of(ctx, app, flags["global"])
    values = values_of(ctx, found, merged)
    if format == "json":
        ctx.out.line(to_json(values))
        return
    ctx.out.result(f"{found.name if found else 'global'} env vars")
    for line in pairs(values.items(), indent=""):
        ctx.out.line(line)


@command("config:keys", GLOBAL, MERGED, Argument("app", optional=True), effect="reads", examples=("config:keys wiki",))
def keys(ctx: Context, app: str | None, merged: bool, **flags: bool) -> None:
    """List the names of the config vars, one in a line."""
    for key in values_of(ctx, owner_of(ctx, app, flags["global"]), merged):
        ctx.out.line(key)


@command(
    "config:get",
    GLOBAL,
    Flag("--quoted", "quote it for a shell"),
    Argument("app-and-key", many=True),
    effect="reads",
    examples=("config:get wiki DATABASE_URL",),
)
def get(ctx: Context, app_and_key: list[str], quoted: bool, **flags: bool) -> None:
    """Print the value of a config var; fail if it is not set."""
    found, names = _split(ctx, app_and_key, flags["global"])
    if len(names) != 1:
        raise UsageError("Name one config var", hint="Usage: config:get <app> <key>")
    value = ctx.platform.environment.get(found, names[0])
    ctx.out.line(shlex.quote(value) if quoted else value)


@command(
    "config:set",
    NO_RESTART,
    GLOBAL,
    Flag("--encoded", "the values are base64, for those that no shell would leave as they are"),
    Argument("app-and-assignments", many=True),
    examples=("config:set wiki DEBUG=1 MOTTO='be kind'", "config:set --no-restart wiki DEBUG=1"),
)
def set_vars(ctx: Context, app_and_assignments: list[str], no_restart: bool, encoded: bool, **flags: bool) -> None:
    """Set config vars and redeploy the app with them.

    Values that do not change redeploy nothing. If the app does not become healthy with the new values, the old ones
    stay, in the settings and in what runs.
    """
    found, words = _split(ctx, app_and_assignments, flags["global"])
    change(ctx, found, dict(parse_assignments(words, encoded=encoded)), no_restart)


@command(
    "config:unset",
    NO_RESTART,
    GLOBAL,
    Argument("app-and-keys", many=True),
    examples=("config:unset wiki DEBUG",),
)
def unset(ctx: Context, app_and_keys: list[str], no_restart: bool, **flags: bool) -> None:
    """Remove config vars and redeploy the app without them."""
    found, names = _split(ctx, app_and_keys, flags["global"])
    if not names:
        raise UsageError("<key> is missing", hint="Usage: config:unset <app> <key>...")
    change(ctx, found, dict.fromkeys(names), no_restart)


@command("config:clear", NO_RESTART, GLOBAL, Argument("app", optional=True), examples=("config:clear wiki",))
def clear(ctx: Context, app: str | None, no_restart: bool, **flags: bool) -> None:
    """Remove all config vars and redeploy the app without them."""
    found = owner_of(ctx, app, flags["global"])
    change(ctx, found, dict.fromkeys(ctx.platform.environment.own(found)), no_restart)


def change(ctx: Context, app: App | None, values: dict[str, str | None], no_restart: bool) -> None:
    """Set, or with None unset, and say which changed; values are never shown."""
    changes = ctx.platform.changes
    if app is None:
        changed = changes.global_config(values, ctx.request(), restart=not no_restart)
    else:
        changed = changes.config(app.name, values, ctx.request(), restart=not no_restart)
    verb = "Unset" if all(value is None for value in values.values()) else "Set"
    ctx.out.heading(f"{verb} {', '.join(changed)}" if changed else "Nothing changed")


@command("config:rotate-key", admin=True, examples=("config:rotate-key",))
def rotate_key(ctx: Context) -> None:
    """Encrypt all secrets in the database with a new key.

    Config vars, those of releases as well, docker-options, the options of containers and the commands of detached runs
    are encrypted with a key that lies beside the database, in paas.key; whoever has an old copy of that file can read
    none of them afterwards.
    """
    ctx.platform.db.change_key()
    people.record(ctx.platform.db, ctx.who, "", "config:rotate-key")
    ctx.out.heading("All secrets are encrypted with a new key")
