"""config:* — config vars. Values are shown when asked for, and never echoed or logged."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from paas.apps.environment import parse_assignments
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, Argument, Flag
from paas.errors import InvalidInput, UsageError
from paas.names import shown
from paas.output import pairs, to_json
from paas.state import people
from paas.state.apps import App

NO_RESTART = Flag("--no-restart", "save only; the next deploy or restart uses it")
_EXPORT_FORMATS = ("exports", "envfile", "shell", "json")


def _export_format(text: str) -> str:
    if text not in _EXPORT_FORMATS:
        raise InvalidInput(f"{shown(text)} is not a format", hint=f"Known: {', '.join(_EXPORT_FORMATS)}")
    return text


def _split(ctx: Context, words: Sequence[str], all_apps: bool) -> tuple[App | None, list[str]]:
    """With --global all words are the command's own, else the first is the app."""
    if all_apps:
        return None, list(words)
    if not words:
        raise UsageError("<app> is missing", hint="Name an app, or say --global.")
    return ctx.app(words[0]), list(words[1:])


@command(
    "config:show",
    GLOBAL,
    FORMAT,
    Argument("app", optional=True),
    aliases=("config",),
    examples=("config:show wiki", "config:show --global"),
)
def show(ctx: Context, app: str | None, format: str | None, **flags: bool) -> None:
    """Show the config vars of an app."""
    found, _ = _split(ctx, [app] if app else [], flags["global"])
    values = ctx.platform.environment.own(found)
    if format == "json":
        ctx.out.line(to_json(values))
        return
    ctx.out.result(f"{found.name if found else 'global'} env vars")
    for line in pairs(values.items(), indent=""):
        ctx.out.line(line)


@command("config:get", GLOBAL, Argument("app-and-key", many=True), examples=("config:get wiki DATABASE_URL",))
def get(ctx: Context, app_and_key: list[str], **flags: bool) -> None:
    """Print the value of a config var; fail if it is not set."""
    found, keys = _split(ctx, app_and_key, flags["global"])
    if len(keys) != 1:
        raise UsageError("Name one config var", hint="Usage: config:get <app> <key>")
    ctx.out.line(ctx.platform.environment.get(found, keys[0]))


@command(
    "config:set",
    NO_RESTART,
    GLOBAL,
    Argument("app-and-assignments", many=True),
    examples=("config:set wiki DEBUG=1 MOTTO='be kind'", "config:set --no-restart wiki DEBUG=1"),
)
def set_vars(ctx: Context, app_and_assignments: list[str], no_restart: bool, **flags: bool) -> None:
    """Set config vars and redeploy the app with them.

    Values that do not change redeploy nothing. If the app does not become healthy with the new values, the old ones
    stay, in the settings and in what runs.
    """
    found, words = _split(ctx, app_and_assignments, flags["global"])
    _change(ctx, found, dict(parse_assignments(words)), no_restart)


@command(
    "config:unset",
    NO_RESTART,
    GLOBAL,
    Argument("app-and-keys", many=True),
    examples=("config:unset wiki DEBUG",),
)
def unset(ctx: Context, app_and_keys: list[str], no_restart: bool, **flags: bool) -> None:
    """Remove config vars and redeploy the app without them."""
    found, keys = _split(ctx, app_and_keys, flags["global"])
    if not keys:
        raise UsageError("<key> is missing", hint="Usage: config:unset <app> <key>...")
    _change(ctx, found, dict.fromkeys(keys), no_restart)


def _change(ctx: Context, app: App | None, values: dict[str, str | None], no_restart: bool) -> None:
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

    Config vars, those of releases as well, and the options of containers are encrypted with a key that lies beside the
    database, in paas.key; whoever has an old copy of that file can read none of them afterwards.
    """
    ctx.platform.db.change_key()
    people.record(ctx.platform.db, ctx.who, "", "config:rotate-key")
    ctx.out.heading("All secrets are encrypted with a new key")


@command(
    "config:export",
    GLOBAL,
    Flag("--format", "exports, envfile, shell or json", "FORMAT", parse=_export_format),
    Argument("app", optional=True),
    examples=("config:export wiki --format envfile > .env",),
)
def export(ctx: Context, app: str | None, format: str | None, **flags: bool) -> None:
    """Print the config vars in a form that a shell or another tool reads."""
    found, _ = _split(ctx, [app] if app else [], flags["global"])
    values = ctx.platform.environment.own(found)
    if format == "json":
        ctx.out.line(to_json(values))
    elif format == "shell":
        ctx.out.line(" ".join(f"{key}={shlex.quote(value)}" for key, value in values.items()))
    else:
        prefix = "" if format == "envfile" else "export "
        for key, value in values.items():
            ctx.out.line(f"{prefix}{key}={shlex.quote(value)}")
