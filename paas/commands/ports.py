"""ports:* — which host ports lead to an app."""

from __future__ import annotations

from paas.apps.ports import parse
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, app_argument
from paas.model import PortMap
from paas.output import table, to_json
from paas.state import releases


@command(
    "ports:add",
    app_argument(),
    Argument("scheme:host:container", parse, many=True),
    examples=("ports:add wiki http:9999:80", "ports:add db tcp:5432:5432"),
)
def add(ctx: Context, app: str, **maps: list[PortMap]) -> None:
    """Map host ports to ports of an app's web process.

    http maps are served by nginx, for the app's hostnames; tcp and udp maps lead straight to the container.
    """
    added = maps["scheme:host:container"]
    text = " ".join(map(str, added))
    ports = ctx.platform.ports
    ctx.platform.changes.ports(app, lambda found: ports.with_added(found, added), f"Map ports {text}", ctx.request())
    ctx.out.heading(f"Mapped {text}")


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
