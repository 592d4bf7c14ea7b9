"""ps:* — the processes of an app."""

from __future__ import annotations

from paas.apps.processes import parse_scale
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, app_argument
from paas.commands.report import Report, show
from paas.errors import Conflict
from paas.names import ProcessType
from paas.output import table, to_json
from paas.state import releases
from paas.state.apps import App


@command(
    "ps:scale",
    FORMAT,
    app_argument(),
    Argument("process=count", many=True, optional=True),
    shows_without="process=count",
    examples=("ps:scale wiki", "ps:scale wiki web=3 worker=1"),
)
def scale(ctx: Context, app: str, format: str | None, **counts: list[str]) -> None:
    """Show or set how many instances of each process type run. Instances that stay are left alone."""
    found = ctx.app(app)
    wanted = parse_scale(counts["process=count"])
    if wanted:
        ctx.platform.changes.scale(found.name, wanted, ctx.request())
        ctx.out.heading("Scaled " + " ".join(f"{kind}={count}" for kind, count in wanted.items()))
        return
    release = releases.current(ctx.platform.db, found)
    declared = {p.type: p.count for p in release.processes} if release else ctx.platform.processes.scale(found)
    if format == "json":
        ctx.out.line(to_json(declared))
        return
    ctx.out.heading(f"Scaling for {found.name}")
    for line in table(("proctype", "qty"), [(kind, str(count)) for kind, count in sorted(declared.items())]):
        ctx.out.detail(line)


@command(
    "ps:restart",
    app_argument(),
    Argument("process", ProcessType, optional=True),
    examples=("ps:restart wiki", "ps:restart wiki worker"),
)
def restart(ctx: Context, app: str, process: ProcessType | None) -> None:
    """Replace the instances of an app by new ones of the same release, without losing a request."""
    found = ctx.app(app)
    ctx.platform.changes.restart(found.name, process, ctx.request())
    ctx.out.heading(f"Restarted {found.name}")


@command("ps:stop", app_argument(), examples=("ps:stop wiki",))
def stop(ctx: Context, app: str) -> None:
    """Stop an app; visitors get a page that says so. It stays stopped until ps:start or the next push."""
    found = ctx.app(app)
    ctx.platform.changes.stop(found.name, ctx.request())
    ctx.out.heading(f"Stopped {found.name}")


@command("ps:start", app_argument(), examples=("ps:start wiki",))
def start(ctx: Context, app: str) -> None:
    """Start an app that was stopped."""
    found = ctx.app(app)
    ctx.platform.changes.start(found.name, ctx.request())
    ctx.out.heading(f"Started {found.name}")


@command("ps:rebuild", app_argument(), examples=("ps:rebuild wiki",))
def rebuild(ctx: Context, app: str) -> None:
    """Build the deployed commit again and deploy the result."""
    ctx.platform.pipeline.rebuild(ctx.app(app), ctx.request())


@command("ps:report", FORMAT, app_argument(optional=True), needs="view", examples=("ps:report wiki",))
def report(ctx: Context, app: str | None, format: str | None) -> None:
    """Show each instance of an app, how often it was restarted and why it last ended."""
    apps = [ctx.app(app)] if app else ctx.platform.apps.list()
    show(ctx, "ps", [(found.name, _report(ctx, found)) for found in apps], format)


def _report(ctx: Context, app: App) -> Report:
    rows = releases.instances(ctx.platform.db, app)
    found: Report = {
        "deployed": app.release is not None,
        "running": bool(rows) and not app.stopped,
        "stopped": app.stopped,
        "processes": len(rows),
    }
    for row in rows:
        text = f"{row.instance.state} (container {row.instance.id[:12]}, release {row.instance.release})"
        if row.restarts:
            text += f"; restarted {row.restarts} times, last because it {row.reason}"
        key = f"status-{row.instance.name}"
        found[key if key not in found else f"{key}-{row.instance.id[:6]}"] = text
    return found


def running_instance(ctx: Context, app: App, name: str | None) -> str:
    """The container id of `web`, `web.2`, or without a name of the first instance. Raises Conflict."""
    rows = [row.instance for row in releases.instances(ctx.platform.db, app) if row.instance.state == "running"]
    matching = [i for i in rows if name in (None, i.process, i.name)]
    if not matching:
        running = ", ".join(i.name for i in rows) or "nothing"
        raise Conflict(f"{app.name} runs no {name or 'process'}", hint=f"Running: {running}")
    return matching[0].id
