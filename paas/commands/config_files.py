"""config:export, import, bundle, edit — config vars as files."""

from __future__ import annotations

from functools import partial

from paas.apps import envfiles
from paas.commands.attaching import converse
from paas.commands.catalog import command
from paas.commands.config import MERGED, NO_RESTART, change, owner_of, values_of
from paas.commands.context import Context
from paas.commands.declare import GLOBAL, Argument, Flag
from paas.commands.typed import read_typed
from paas.errors import InvalidInput, UsageError
from paas.names import shown
from paas.state.apps import App

_LIMIT = 2 << 20
"""Bytes of a file with config vars."""


def _format(known: tuple[str, ...], text: str) -> str:
    if text not in known:
        raise InvalidInput(f"{shown(text)} is not a format", hint=f"Known: {', '.join(known)}")
    return text


@command(
    "config:export",
    GLOBAL,
    MERGED,
    Flag("--format", ", ".join(envfiles.FORMATS), "FORMAT", parse=partial(_format, tuple(envfiles.FORMATS))),
    Argument("app", optional=True),
    effect="reads",
    examples=("config:export wiki --format envfile > .env", "config:export wiki --format json"),
)
def export(ctx: Context, app: str | None, format: str | None, merged: bool, **flags: bool) -> None:
    """Print the config vars in a form that a shell or another tool reads; by default lines for a shell."""
    values = values_of(ctx, owner_of(ctx, app, flags["global"]), merged)
    ctx.out.raw(envfiles.FORMATS[format or "exports"](values).encode("utf-8", "surrogateescape"))


@command(
    "config:bundle",
    GLOBAL,
    MERGED,
    Argument("app", optional=True),
    effect="reads",
    examples=("config:bundle wiki > vars.tar",),
)
def bundle(ctx: Context, app: str | None, merged: bool, **flags: bool) -> None:
    """Write a tar archive with one file for each config var."""
    if ctx.tty:
        raise UsageError("A tar archive is not for a terminal", hint="Redirect it: config:bundle my-app > vars.tar")
    ctx.out.raw(envfiles.bundle(values_of(ctx, owner_of(ctx, app, flags["global"]), merged)))


@command(
    "config:import",
    NO_RESTART,
    GLOBAL,
    Flag("--format", "envfile or json", "FORMAT", parse=partial(_format, tuple(envfiles.PARSERS))),
    Flag("--replace", "unset what the file does not have"),
    Argument("app-and-file", many=True),
    examples=("config:import wiki - < .env", "config:import wiki --format json --replace vars.json"),
)
def import_vars(
    ctx: Context, app_and_file: list[str], format: str | None, replace: bool, no_restart: bool, **flags: bool
) -> None:
    """Set config vars from a file, all in one release. FILE is - for the input, which is all there is over ssh."""
    words = list(app_and_file)
    app = owner_of(ctx, None if flags["global"] or not words else words.pop(0), flags["global"])
    if len(words) > 1:
        raise UsageError("Name one file", hint="Usage: config:import <app> <file>|-")
    text = ctx.read_all(_LIMIT) if words in ([], ["-"]) else read_typed(ctx, words[0], _LIMIT)
    values = envfiles.PARSERS[format or "envfile"](text)
    change(ctx, app, _replacing(ctx, app, values) if replace else dict(values), no_restart)


@command(
    "config:edit",
    NO_RESTART,
    GLOBAL,
    Argument("app", optional=True),
    examples=("config:edit wiki",),
)
def edit(ctx: Context, app: str | None, no_restart: bool, **flags: bool) -> None:
    """Change config vars in an editor (nano), over ssh as well: ssh -t.

    What is saved is set, and what was deleted is unset, in one release. Leaving without saving changes nothing.
    """
    owner = owner_of(ctx, app, flags["global"])
    if not ctx.tty:
        raise UsageError("An editor needs a terminal on your side", hint="Over ssh: ssh -t ... config:edit my-app")
    before = ctx.platform.environment.own(owner)
    text = envfiles.envfile(before)
    note = f"# Config vars of {owner.name if owner else 'all apps'}: KEY='value', one in a line."
    remark = "# Save to set them; leave without saving to change nothing."
    while True:
        edited = _edited(ctx, f"{note}\n{remark}\n{text}")
        if edited is None:
            ctx.out.heading("Nothing changed")
            return
        try:
            values = envfiles.parse_envfile(edited)
            break
        except InvalidInput as error:
            text = edited.split("\n", 2)[-1] if edited.startswith(note) else edited
            remark = f"# Nothing has been set yet. {error.message}"
    after = {key: value for key, value in values.items() if before.get(key) != value}
    change(ctx, owner, {**after, **{key: None for key in before if key not in values}}, no_restart)


def _edited(ctx: Context, text: str) -> str | None:
    """What was saved; None when nothing was."""
    with ctx.platform.editor.open(text) as editing:
        status = converse(ctx, editing.id)
        edited = editing.text()
    return None if status or edited == text else edited


def _replacing(ctx: Context, app: App | None, values: dict[str, str]) -> dict[str, str | None]:
    return {**dict.fromkeys(ctx.platform.environment.own(app)), **values}
