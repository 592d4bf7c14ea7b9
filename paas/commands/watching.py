"""inspect, top, stats — containers, looked at closely."""

from __future__ import annotations

import time
from typing import Any

from paas.commands import imageinfo
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.commands.formats import Format, parse_format
from paas.containers import lookup, processes
from paas.containers.inspect import description
from paas.containers.lookup import Found
from paas.errors import Conflict, NotFound
from paas.output import human_bytes, to_json
from paas.runtime.usage import Usage
from paas.state.containers import ALIVE

_HEADER = (
    "CONTAINER ID",
    "NAME",
    "CPU %",
    "MEM USAGE / LIMIT",
    "MEM %",
    "NET I/O",
    "BLOCK I/O",
    "PIDS",
)
_BETWEEN = 1.0
"""Seconds between two looks, and what CPU % is measured over."""
_HOME = b"\x1b[H\x1b[J"
"""Clears a terminal."""


@command(
    "inspect",
    Flag(
        "--format",
        "json, or a template in Docker's way: '{{.State.Status}}', '{{json .Config}}'",
        "FORMAT",
        parse=parse_format,
        short="-f",
    ),
    Argument("container-or-image", many=True),
    page="containers",
    needs="view",
    examples=("inspect shop-db", "inspect -f '{{.State.Status}} {{.NetworkSettings.IPAddress}}' shop-db wiki.web.1"),
)
def inspect(ctx: Context, container_or_image: list[str], format: Format | None) -> None:
    """Show all that is known of containers or images, as JSON in Docker's words.

    A name that both have means the container. Only admin keys see images, and the values of containers' variables.
    """
    found = [_described(ctx, name) for name in container_or_image]
    if format is None or format.template is None:
        ctx.out.line(to_json(found))
        return
    for each in found:
        ctx.out.line(format.template.render(each))


def _described(ctx: Context, name: str) -> dict[str, Any]:
    containers = ctx.platform.containers
    try:
        found = lookup.find(ctx.platform.db, name)
    except NotFound:
        if not ctx.who.admin:
            raise
        return dict(imageinfo.description(ctx, name))
    described = description(found, containers.parts, containers.life)
    if not ctx.who.admin:
        config = described["Config"]
        config["Env"] = [entry.partition("=")[0] + "=*****" for entry in config.get("Env", ())]
    return described


@command("top", Argument("container"), page="containers", needs="view", examples=("top shop-db",))
def top(ctx: Context, container: str) -> None:
    """List the processes of a container. UID is the container's own; PID is the host's."""
    found = lookup.find(ctx.platform.db, container)
    row, instance = found.row, found.instance
    address = row.address if row is not None else instance.instance.address if instance is not None else None
    sandbox = ctx.platform.containers.parts.sandboxes.at(address) if address is not None else None
    if sandbox is None or ctx.platform.runtime.pid(found.id) is None:
        raise Conflict(f"Container {found.name} is not running")
    rows = processes.table_of(ctx.platform.runtime.processes(found.id), sandbox.uid_base)
    ctx.out.table(processes.HEADER, rows)


@command(
    "stats",
    Flag("--no-stream", "once, and no more"),
    FORMAT,
    Argument("container", many=True, optional=True),
    page="containers",
    needs="view",
    examples=("stats --no-stream", "stats shop-db wiki.web.1"),
)
def stats(ctx: Context, container: list[str], no_stream: bool, format: str | None) -> None:
    """Show what containers use of processors, memory, network and disk.

    Without a name, all that run; again and again, unless told otherwise.
    """
    before, then = _usages(ctx, container), time.monotonic()
    while not ctx.hung_up.wait(_BETWEEN):
        now, at = _usages(ctx, container), time.monotonic()
        rows = []
        for id, (found, usage) in now.items():
            earlier = before[id][1] if id in before else usage
            rows.append((found, usage, max(0.0, usage.cpu - earlier.cpu) / (at - then) * 100))
        if format == "json":
            ctx.out.line(to_json([_values(*row) for row in rows]))
        else:
            if ctx.tty and not no_stream:
                ctx.out.raw(_HOME)
            ctx.out.table(_HEADER, [_columns(*row) for row in rows])
        if no_stream:
            return
        before, then = now, at


def _usages(ctx: Context, names: list[str]) -> dict[str, tuple[Found, Usage]]:
    db = ctx.platform.db
    if names:
        chosen = [lookup.find(db, name) for name in names]
    else:
        chosen = [
            each
            for each in lookup.every(db)
            if (each.row is not None and each.row.state in ALIVE)
            or (each.instance is not None and each.instance.instance.state.up)
        ]
    found = {}
    for each in chosen:
        try:
            found[each.id] = (each, ctx.platform.runtime.usage(each.id))
        except NotFound:
            continue
    return found


def _columns(found: Found, usage: Usage, cpu: float) -> tuple[str, ...]:
    share = usage.memory / usage.limit * 100 if usage.limit else 0.0
    return (
        found.id[:12],
        found.name,
        f"{cpu:.2f}%",
        f"{human_bytes(usage.memory)} / {human_bytes(usage.limit)}",
        f"{share:.2f}%",
        f"{human_bytes(usage.received)} / {human_bytes(usage.sent)}",
        f"{human_bytes(usage.read)} / {human_bytes(usage.written)}",
        str(usage.pids),
    )


def _values(found: Found, usage: Usage, cpu: float) -> dict[str, object]:
    return {
        "id": found.id,
        "name": found.name,
        "cpu_percent": round(cpu, 2),
        "memory": usage.memory,
        "memory_limit": usage.limit,
        "received": usage.received,
        "sent": usage.sent,
        "read": usage.read,
        "written": usage.written,
        "pids": usage.pids,
    }
