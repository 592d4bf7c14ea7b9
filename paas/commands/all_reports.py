"""report — all that is known about apps, noun by noun."""

from __future__ import annotations

from paas.commands.catalog import CATALOG, command
from paas.commands.context import Context
from paas.commands.declare import Command, app_argument
from paas.commands.parsing import parse


@command(
    "report",
    app_argument(optional=True),
    needs="view",
    lists=True,
    page="apps",
    examples=("report wiki", "report"),
    effect="reads",
)
def report(ctx: Context, app: str | None) -> None:
    """Show all reports of an app, or of all apps: those that your role allows."""
    found = [ctx.app(app)] if app is not None else ctx.platform.apps.list()
    reports = [each for each in CATALOG if each.name.endswith(":report") and _is_of_app(each)]
    for each in found:
        for part in reports:
            if part.needs is None or ctx.grants.may(part.needs, each):
                part.function(ctx, **parse(part, [each.name]))


def _is_of_app(part: Command) -> bool:
    return bool(part.arguments) and part.arguments[0].names_app
