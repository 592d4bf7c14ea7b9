"""ps and port — which containers there are, those of apps among them."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.containers import describe, lookup
from paas.containers.lookup import Found
from paas.errors import Conflict, InvalidInput, NotFound
from paas.model import InstanceState
from paas.names import shown
from paas.output import table, to_json
from paas.state import apps, releases
from paas.state.containers import ALIVE, HOLDING

_HEADER = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")


@command(
    "ps",
    Flag("--all", "also those that have ended", short="-a"),
    Flag("--quiet", "ids alone", short="-q"),
    Flag("--no-trunc", "ids and commands as long as they are"),
    FORMAT,
    examples=("ps", "ps -a", "ps -aq"),
)
def ps(ctx: Context, all: bool, quiet: bool, no_trunc: bool, format: str | None) -> None:
    """List the containers that run. Those of apps are called by app and process, such as wiki.web.1."""
    found = [each for each in lookup.every(ctx.platform.db) if all or each.row is None or each.row.state in HOLDING]
    if format == "json":
        ctx.out.line(to_json([_described(ctx, each) for each in found]))
        return
    if quiet:
        for each in found:
            ctx.out.line(each.id if no_trunc else each.id[:12])
        return
    rows = []
    for each in found:
        it = _described(ctx, each)
        words = it["command"]
        assert isinstance(words, list)
        rows.append(
            (
                each.id if no_trunc else each.id[:12],
                str(it["image"]),
                describe.command(words, 1 << 20 if no_trunc else 20),
                f"{describe.ago(str(it['created']))} ago",
                str(it["status"]),
                str(it["ports"]),
                each.name,
            )
        )
    for line in table(_HEADER, rows):
        ctx.out.line(line)


def _described(ctx: Context, each: Found) -> dict[str, object]:
    try:
        words = list(ctx.platform.runtime.spec(each.id).get("args") or ())
    except NotFound:  # about to be made, or just removed
        words = []
    common: dict[str, object] = {"id": each.id, "name": each.name, "command": words}
    if each.row is not None:
        row = each.row
        return common | {
            "image": row.reference,
            "created": row.created,
            "state": str(row.state),
            "status": describe.status(row),
            "health": row.health,
            "ports": describe.ports(row.ports) if row.state in ALIVE else "",
            "app": None,
        }
    assert each.instance is not None
    db, instance = ctx.platform.db, each.instance.instance
    release = releases.get(db, apps.by_id(db, each.instance.app_id), instance.release)
    forwarded = [port for port in release.ports if port.scheme in ("tcp", "udp") and instance.process == "web"]
    return common | {
        "image": release.image_id.removeprefix("sha256:")[:12],
        "created": each.instance.started,
        "state": "running" if instance.state is not InstanceState.CRASHED else "restarting",
        "status": describe.instance_status(each.instance),
        "health": "",
        "ports": describe.ports(forwarded),
        "app": instance.app,
    }


@command(
    "port",
    Argument("container"),
    Argument("port", optional=True),
    page="containers",
    examples=("port shop-db", "port shop-db 5432", "port shop-db 53/udp"),
)
def port(ctx: Context, container: str, port: str | None) -> None:
    """Show which ports of the host lead to a container, or to one port of it."""
    row = lookup.own(ctx.platform.db, container, "port")
    maps = row.ports if row.state in ALIVE else ()
    if port is None:
        for each in maps:
            ctx.out.line(f"{each.container}/{each.scheme} -> 0.0.0.0:{each.host}")
        return
    number, _, protocol = port.partition("/")
    if not (number.isascii() and number.isdigit()) or protocol not in ("", "tcp", "udp"):
        raise InvalidInput(f"{shown(port)} is not a port of a container", hint="Examples: 80, 53/udp")
    asked = [each for each in maps if (each.container, each.scheme) == (int(number), protocol or "tcp")]
    if not asked:
        raise Conflict(f"No port of the host leads to port {port} of {row.name}", hint=f"port {row.name} shows all.")
    for each in asked:
        ctx.out.line(f"0.0.0.0:{each.host}")
