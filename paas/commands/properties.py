"""`X:set` and `X:report` for properties: the same for every noun, made from their declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from paas.apps.properties import public
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, KEY, Argument, app_argument
from paas.commands.report import Report, show
from paas.errors import UsageError
from paas.state.apps import App


def define(
    noun: str,
    what: str,
    keys: dict[str, str],
    examples: tuple[str, ...],
    more: Callable[[Context], Report] | None = None,
    of_app: Callable[[Context, App], Report] | None = None,
    save: Callable[[Context, App | None, str, str | None], None] | None = None,
    *,
    report: bool = True,
    empty: Mapping[str, str] | None = None,
    admin: bool = False,
    check: Callable[[Context, str, str], None] | None = None,
) -> None:
    """Register the two commands, or (`report` false) the first alone: the noun has a report of its own.

    `keys` are the properties with their help, for the page; `more` adds to the global report, `of_app` to an app's;
    `save` is for properties whose change is more than a row. `empty`: what an empty word means to a property that does
    not take it as none. `admin`: only admin keys may set. `check(context, key, value)` raises where a value may not be
    set.
    """

    def set_property(ctx: Context, app_key_value: list[str], **flags: bool) -> None:
        words = list(app_key_value)
        app = None if flags["global"] else ctx.app(words.pop(0))
        if not words:
            raise UsageError("Name a property", hint=f"Usage: {noun}:set <app>|--global <key> [<value>]")
        key, value = words[0], " ".join(words[1:])
        if words[1:] == [""] and empty and key in empty:
            value = empty[key]
        if check and value:
            check(ctx, key, value)
        if save is not None:
            save(ctx, app, key, value or None)
        elif app is None:
            ctx.platform.properties.set(noun, key, value, None)
        else:
            ctx.platform.changes.property(app.name, noun, key, value or None, ctx.request())
        ctx.out.heading(f"Set {key} to {public(value)}" if value else f"Unset {key}")

    set_property.__doc__ = "\n".join(
        [
            f"Set a property of {what}; without a value the global one or the default holds again.",
            "",
            *(f"{key}: {help}." for key, help in keys.items()),
        ]
    )
    command(f"{noun}:set", GLOBAL, Argument("app-key-value", rest=True), examples=examples, admin=admin)(set_property)

    if not report:
        return

    def show_report(ctx: Context, app: str | None, format: str | None, KEY: str | None, **flags: bool) -> None:
        properties = ctx.platform.properties
        if flags["global"]:
            found: Report = {
                f"{noun}-global-{item.key}": public(properties.raw(noun, item.key, None) or "")
                for item in properties.of(noun)
            }
            show(ctx, noun, [("global", found | (more(ctx) if more else {}))], format, KEY)
            return
        apps = [ctx.app(app)] if app else ctx.platform.apps.list()
        reports = [(each.name, properties.report(noun, each) | (of_app(ctx, each) if of_app else {})) for each in apps]
        show(ctx, noun, reports, format, KEY)

    show_report.__doc__ = f"Show the properties of {what}: as set for an app, as set for all, and what holds."
    command(
        f"{noun}:report",
        GLOBAL,
        FORMAT,
        KEY,
        app_argument(optional=True),
        needs="view",
        examples=(f"{noun}:report wiki",),
    )(show_report)
