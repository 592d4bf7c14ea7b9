"""proxy:* — what stands between visitors and an app."""

from __future__ import annotations

from paas.apps.edge import PROXY_CLEARED, PROXY_DISABLED
from paas.commands import properties
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Flag, app_argument
from paas.commands.every import for_one_or_all
from paas.commands.report import Report
from paas.deploy.edge import PROPERTIES
from paas.state.apps import App

_ALL = Flag("--all", "for every app")
_PARALLEL = Flag("--parallel", "accepted for Dokku's sake: one configuration serves all", "NUMBER")


def _save(ctx: Context, app: App | None, key: str, value: str | None) -> None:
    ctx.platform.edge.set_property(app.name if app else None, "proxy", key, value, ctx.request())


def _of_app(ctx: Context, app: App) -> Report:
    edge = ctx.platform.edge.settings
    routing = ctx.platform.routing
    return {
        "proxy-computed-proxy-port": routing.http_port(app),
        "proxy-computed-proxy-ssl-port": routing.https_port(app),
        "proxy-enabled": not edge.flag(app, PROXY_DISABLED),
        "proxy-configured": edge.is_served(app),
    }


properties.define(
    "proxy",
    "how apps are served",
    {item.key: item.help for item in PROPERTIES if item.noun == "proxy"},
    ("proxy:set wiki proxy-port 8080", "proxy:set wiki proxy-port"),
    of_app=_of_app,
    save=_save,
)


@command("proxy:build-config", _ALL, _PARALLEL, app_argument(optional=True), examples=("proxy:build-config wiki",))
def build_config(ctx: Context, app: str | None, all: bool, parallel: str | None) -> None:
    """Write the configuration of an app anew, also after proxy:clear-config, and let nginx take it."""

    def build(name: str) -> None:
        ctx.platform.edge.switch(name, PROXY_CLEARED, False, ctx.request(), "proxy:build-config")
        ctx.out.heading(f"Built the configuration of {name}")

    for_one_or_all(ctx, app, all, build)


@command("proxy:clear-config", _ALL, app_argument(optional=True), examples=("proxy:clear-config wiki",))
def clear_config(ctx: Context, app: str | None, all: bool) -> None:
    """Take the configuration of an app away from nginx, until proxy:build-config."""

    def clear(name: str) -> None:
        ctx.platform.edge.switch(name, PROXY_CLEARED, True, ctx.request(), "proxy:clear-config")
        ctx.out.heading(f"Cleared the configuration of {name}")

    for_one_or_all(ctx, app, all, clear)


@command("proxy:enable", _ALL, _PARALLEL, app_argument(optional=True), examples=("proxy:enable wiki",))
def enable(ctx: Context, app: str | None, all: bool, parallel: str | None) -> None:
    """Let nginx serve an app again."""

    def change(name: str) -> None:
        ctx.platform.edge.switch(name, PROXY_DISABLED, False, ctx.request(), "proxy:enable")
        ctx.out.heading(f"The proxy is enabled for {name}")

    for_one_or_all(ctx, app, all, change)


@command("proxy:disable", _ALL, _PARALLEL, app_argument(optional=True), examples=("proxy:disable wiki",))
def disable(ctx: Context, app: str | None, all: bool, parallel: str | None) -> None:
    """Let nginx not serve an app: no hostname and no http port leads to it.

    Its tcp and udp port maps lead to it as before: ports:add APP tcp:8080:5000.
    """

    def change(name: str) -> None:
        ctx.platform.edge.switch(name, PROXY_DISABLED, True, ctx.request(), "proxy:disable")
        ctx.out.heading(f"The proxy is disabled for {name}")

    for_one_or_all(ctx, app, all, change)
