"""redirect:* — visitors of one hostname are sent to another."""

from __future__ import annotations

from paas.apps.domains import hostname
from paas.apps.edge import Rows, rows_of_redirections
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, KEY, Argument, app_argument
from paas.commands.report import show
from paas.errors import InvalidInput, NotFound
from paas.names import Hostname, shown
from paas.proxy.servers import redirect_target
from paas.routes import Redirection
from paas.state.apps import App

_CODES = ("301", "302", "303", "307", "308")


def _code(text: str) -> int:
    if text not in _CODES:
        raise InvalidInput(f"{shown(text)} is no status for a redirection", hint=f"Known: {', '.join(_CODES)}")
    return int(text)


@command(
    "redirect:set",
    app_argument(),
    Argument("source", hostname),
    Argument("dest", redirect_target),
    Argument("code", _code, optional=True),
    examples=("redirect:set wiki example.com www.example.com", "redirect:set wiki old.example.com example.com 302"),
)
def set_redirect(ctx: Context, app: str, source: Hostname, dest: str, code: int | None) -> None:
    """Send visitors of a hostname elsewhere, path and all; with status 301 unless another is given.

    The source needs not be a domain of the app; while it is redirected, the app does not answer to it.
    """
    found = Redirection(source, dest, code or 301)
    if dest.removeprefix("http://").removeprefix("https://").split("/")[0] == source and "://" not in dest:
        raise InvalidInput(f"{source} would be redirected to itself")
    ctx.platform.edge.redirect(app, found, ctx.request())
    ctx.out.heading(f"{source} is redirected to {dest} ({found.code})")


@command("redirect:unset", app_argument(), Argument("source", hostname), examples=("redirect:unset wiki example.com",))
def unset(ctx: Context, app: str, source: Hostname) -> None:
    """Redirect a hostname no more."""

    def change(found: App) -> Rows:
        present = ctx.platform.edge.settings.redirections(found)
        left = [redirection for redirection in present if redirection.source != source]
        if len(left) == len(present):
            names = ", ".join(redirection.source for redirection in present) or "none"
            raise NotFound(f"{source} is not redirected by {app}", hint=f"There are: {names}")
        return rows_of_redirections(left)

    ctx.platform.edge.change(app, "redirect:unset", change, ctx.request(), "redirect:unset", source)
    ctx.out.heading(f"{source} is redirected no more")


@command(
    "redirect:report",
    FORMAT,
    KEY,
    app_argument(optional=True),
    examples=("redirect:report wiki", "redirect:report wiki --format json"),
    aliases=("redirect",),
    needs="view",
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None) -> None:
    """Show the redirections of an app, or of all."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    settings = ctx.platform.edge.settings
    show(
        ctx,
        "redirect",
        [
            (
                found.name,
                {
                    "redirect-sources": " ".join(
                        f"{each.source}:{each.target}:{each.code}" for each in settings.redirections(found)
                    )
                },
            )
            for found in apps
        ],
        format,
        KEY,
    )
