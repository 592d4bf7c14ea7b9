"""Commands for one app, or with --all for every app."""

from __future__ import annotations

from collections.abc import Callable

from paas.commands.context import Context
from paas.errors import UsageError


def for_one_or_all(ctx: Context, app: str | None, all: bool, change: Callable[[str], None]) -> None:
    """Raises UsageError unless exactly one of them is meant."""
    if (app is None) == (not all):
        raise UsageError("Name one app, or give --all")
    if app is not None:
        change(ctx.app(app).name)
    else:
        ctx.platform.edge.for_all(change, ctx.request())
