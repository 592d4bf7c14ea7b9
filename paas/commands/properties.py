"""`X:set` and `X:report` for properties: the same for every noun, made from their declarations."""

from __future__ import annotations

from collections.abc import Callable

from paas.apps.properties import public
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, GLOBAL, Argument, app_argument
from paas.commands.report import Report, show
from paas.errors import UsageError


def define(
    noun: str,
    what: str,
    keys: dict[str, str],
    examples: tuple[str, ...],
    more: Callable[[Context], Report] | None = None,
    *,
    report: bool = True,
) -> None:
    """Register the two commands, or (`report` false) the first alone: the noun has a report of its own. `keys` are the
    properties with their help, for the page; `more` adds to the global report."""

    def set_property(ctx: Context, app_key_value: list[str], **flags: bool) -> None:
        words = list(app_key_value)
        app = None if flags["global"] else ctx.app(words.pop(0))
        if not words:
            raise UsageError("Name a property", hint=f"Usage: {noun}:set <app>|--global <key> [<value>]")
        key, value = words[0], " ".join(words[1:])
        if app is None:
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
    command(f"{noun}:set", GLOBAL, Argument("app-key-value", many=True), examples=examples)(set_property)

    if not report:
        return

    def show_report(ctx: Context, app: str | None, format: str | None, **flags: bool) -> None:
        properties = ctx.platform.properties
        if flags["global"]:
            found: Report = {
                f"{noun}-global-{item.key}": public(properties.raw(noun, item.key, None) or "")
                for item in properties.of(noun)
            }
            show(ctx, noun, [("global", found | (more(ctx) if more else {}))], format)
            return
        apps = [ctx.app(app)] if app else ctx.platform.apps.list()
        show(ctx, noun, [(each.name, properties.report(noun, each)) for each in apps], format)

    show_report.__doc__ = f"Show the properties of {what}: as set for an app, as set for all, and what holds."
    command(
        f"{noun}:report",
        GLOBAL,
        FORMAT,
        app_argument(optional=True),
        needs="view",
        examples=(f"{noun}:report wiki",),
    )(show_report)
