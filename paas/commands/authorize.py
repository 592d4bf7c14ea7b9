"""The one place that decides whether a caller may use a command, and what the event log says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from paas.apps.access import AppsOf, Role
from paas.apps.properties import public
from paas.commands.context import Context
from paas.commands.declare import Argument, Command
from paas.state.apps import App

_NEVER_LOGGED = ("password", "secret", "token", "value", "public-key")


def authorize(ctx: Context, command: Command, values: Mapping[str, Any]) -> None:
    """Let the command through, or raise Denied, AppNotFound, Conflict (an app is locked).

    From here on the command's context shows only apps that the caller may use the command on.
    """
    role = command.needed(values)
    ctx.platform = replace(ctx.platform, apps=AppsOf(ctx.platform.apps, ctx.grants, command.name, role))
    if role is None:
        return
    if role is Role.ADMIN and not ctx.grants.admin:
        raise ctx.grants.denied(command.name, role, None)
    apps = _apps(ctx, command, values)
    if values.get("global"):
        needed = role if command.only_shows(values) else Role.ADMIN
        if not ctx.grants.everywhere_at_least(needed):
            raise ctx.grants.denied(f"{command.name} --global", needed, None)
    elif not apps and not command.lists and not ctx.grants.everywhere_at_least(role):
        raise ctx.grants.denied(command.name, role, None)
    if command.effect == "changes" and not command.only_shows(values):
        for app in apps:
            ctx.platform.changes.refuse_if_locked(app)


def _apps(ctx: Context, command: Command, values: Mapping[str, Any]) -> list[App]:
    """The apps that the words name."""
    found = []
    for argument in command.arguments:
        name = named(argument, values)
        if name is None:
            continue
        app = ctx.platform.apps.find(name)
        if app is not None:
            found.append(app)
        elif not argument.may_name_another:
            ctx.platform.apps.get(name)  # raises
        elif ctx.grants.everywhere is None:
            raise ctx.grants.unseen(name)
    return found


def named(argument: Argument, values: Mapping[str, Any]) -> str | None:
    """The word of an argument that should name an app."""
    if not argument.names_app or values.get("global"):
        return None
    value = values[argument.name.replace("-", "_")]
    if isinstance(value, list):
        return str(value[0]) if value else None
    return None if value is None else str(value)


def app_named(command: Command, values: Mapping[str, Any]) -> str:
    """For the event log."""
    names = (named(argument, values) for argument in command.arguments)
    return next((name for name in names if name is not None), "")[:63]


def described(command: Command, values: Mapping[str, Any]) -> str:
    """A command's words for the event log, without its app and without anything that may be a secret: what stands
    after `=`, the values of flags and properties, all but the first word of what runs in a container."""
    parts = [flag.name for flag in command.flags if values[flag.parameter] not in (None, False, [])]
    for argument in command.arguments:
        value = values[argument.name.replace("-", "_")]
        words = [str(word) for word in (value if isinstance(value, list) else [value]) if word is not None]
        if argument.names_app and not values.get("global"):
            words = words[1:]
        if argument.rest or argument.name == "app-key-value":
            words = words[:1]
        elif "assignments" in argument.name:
            words = [word for word in words if "=" in word]  # the rest of a value that was not quoted has none
        elif any(part in argument.name for part in _NEVER_LOGGED):
            words = []
        parts += [public(word.partition("=")[0]) for word in words]
    return " ".join(parts)
