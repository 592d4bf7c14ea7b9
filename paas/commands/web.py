"""urls, nginx:* — where an app answers."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, app_argument
from paas.output import to_json


@command("urls", FORMAT, app_argument(), aliases=("url",), needs="view", examples=("urls wiki",))
def urls(ctx: Context, app: str, format: str | None) -> None:
    """Print the URLs of an app, the most important first."""
    found = ctx.platform.routing.urls(ctx.app(app))
    if format == "json":
        ctx.out.line(to_json(found))
        return
    for url in found:
        ctx.out.line(url)


@command("nginx:show-config", app_argument(), needs="view", examples=("nginx:show-config wiki",))
def show_config(ctx: Context, app: str) -> None:
    """Print the nginx configuration of an app, as nginx runs it."""
    ctx.out.line(ctx.platform.proxy.config(ctx.app(app).name))
