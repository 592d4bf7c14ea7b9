"""ports:* — which host ports lead to an app."""

from __future__ import annotations

from paas.apps.ports import effective, parse
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, KEY, Argument, app_argument
from paas.commands.report import Report, show
from paas.model import TLS_SCHEMES, ImageConfig, PortMap
from paas.output import table, to_json
from paas.state import releases
from paas.state.apps import App


@command(
    "ports:add",
    app_argument(),
    Argument("scheme:host:container", parse, many=True),
    examples=("ports:add wiki http:9999:80", "ports:add db tcp:5432:5432"),
)
def add(ctx: Context, app: str, **maps: list[PortMap]) -> None:
    """Map host ports to ports of an app's web process.

    http, https, grpc and grpcs maps are served by nginx, for the app's hostnames; tcp and udp maps lead straight to
    the container. Of https and grpcs nothing is seen until the app has a certificate (certs:add).
    """
    added = maps["scheme:host:container"]
    text = " ".join(map(str, added))
    ports = ctx.platform.ports
    ctx.platform.changes.ports(app, lambda found: ports.with_added(found, added), f"Map ports {text}", ctx.request())
    ctx.out.heading(f"Mapped {text}")
    _warn(ctx, app, added)


@command(
    "ports:set",
    app_argument(),
    Argument("scheme:host:container", parse, many=True),
    examples=("ports:set wiki http:80:3000", "ports:set wiki http:80:3000 tcp:2525:25"),
)
def set_ports(ctx: Context, app: str, **maps: list[PortMap]) -> None:
    """Let an app have exactly these port maps of its own."""
    wanted = maps["scheme:host:container"]
    text = " ".join(map(str, wanted))
    ports = ctx.platform.ports
    ctx.platform.changes.ports(app, lambda found: ports.exactly(found, wanted), f"Set ports {text}", ctx.request())
    ctx.out.heading(f"Set {text}")
    _warn(ctx, app, wanted)


@command("ports:clear", app_argument(), examples=("ports:clear wiki",))
def clear(ctx: Context, app: str) -> None:
    """Let an app have no port maps of its own: http leads to the port its image exposes."""
    ctx.platform.changes.ports(app, lambda found: [], "Clear ports", ctx.request())
    ctx.out.heading(f"Cleared the port maps of {app}")


@command(
    "ports:report",
    FORMAT,
    KEY,
    app_argument(optional=True),
    examples=("ports:report wiki", "ports:report wiki --ports-map"),
    needs="view",
)
def report(ctx: Context, app: str | None, format: str | None, KEY: str | None) -> None:
    """Show the port maps of one app or of all: those that hold, and those its image alone would get."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    show(ctx, "ports", [(found.name, _report(ctx, found)) for found in apps], format, KEY)


def _report(ctx: Context, app: App) -> Report:
    platform = ctx.platform
    release = releases.current(platform.db, app)
    image = platform.images.image(release.image_id).config if release else ImageConfig()
    detected = effective([], image, platform.settings.http_port)
    maps = list(release.ports) if release else platform.ports.own(app) or detected
    return {
        "ports-map": " ".join(map(str, maps)),
        "ports-map-detected": " ".join(map(str, detected)),
        "ports-map-own": " ".join(map(str, platform.ports.own(app))),
    }


def _warn(ctx: Context, app: str, maps: list[PortMap]) -> None:
    if any(port.scheme in TLS_SCHEMES for port in maps) and ctx.platform.edge.certs.current(ctx.app(app)) is None:
        ctx.out.warn(f"{app} has no certificate: https and grpcs are not served until certs:add gives it one")


@command(
    "ports:remove",
    app_argument(),
    Argument("port", many=True),
    examples=("ports:remove wiki http:9999:80", "ports:remove wiki 9999"),
)
def remove(ctx: Context, app: str, port: list[str]) -> None:
    """Remove port maps, named by host port, scheme:host or the whole map."""
    text = " ".join(port)
    ports = ctx.platform.ports
    ctx.platform.changes.ports(app, lambda found: ports.without(found, port), f"Unmap ports {text}", ctx.request())
    ctx.out.heading(f"Removed {text}")


@command("ports:list", FORMAT, app_argument(), aliases=("ports",), needs="view", examples=("ports:list wiki",))
def list_ports(ctx: Context, app: str, format: str | None) -> None:
    """List the port maps of an app: its own, and the one its hostnames are served by."""
    found = ctx.app(app)
    release = releases.current(ctx.platform.db, found)
    maps = list(release.ports) if release else ctx.platform.ports.own(found)
    if format == "json":
        ctx.out.line(to_json([{"scheme": p.scheme, "host": p.host, "container": p.container} for p in maps]))
        return
    ctx.out.heading(f"Port mappings for {found.name}")
    for line in table(
        ("scheme", "host port", "container port"), [(p.scheme, str(p.host), str(p.container)) for p in maps]
    ):
        ctx.out.detail(line)
