"""urls, url — where an app answers."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, app_argument
from paas.errors import NotFound
from paas.output import to_json


@command("urls", FORMAT, app_argument(), needs="view", examples=("urls wiki",))
def urls(ctx: Context, app: str, format: str | None) -> None:
    """Print the URLs of an app, the most important first."""
    found = ctx.platform.routing.urls(ctx.app(app))
    if format == "json":
        ctx.out.line(to_json(found))
        return
    for url in found:
        ctx.out.line(url)


@command("url", app_argument(), needs="view", examples=("url wiki",))
def url(ctx: Context, app: str) -> None:
    """Print the most important URL of an app."""
    found = ctx.platform.routing.urls(ctx.app(app))
    if not found:
        raise NotFound(
            f"{app} is served under no hostname", hint=f"domains:report {app} and proxy:report {app} say why."
        )
    ctx.out.line(found[0])
