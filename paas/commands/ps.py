"""ps:* — the processes of an app."""

from __future__ import annotations

import contextlib

from paas.apps.container_settings import declared
from paas.apps.processes import parse_scale
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag, app_argument
from paas.commands.many import ALL, PARALLEL, one_or_all
from paas.commands.properties import define
from paas.commands.report import Report
from paas.containers import lookup
from paas.containers.inspect import description
from paas.deploy.held import Request
from paas.errors import Conflict, NotFound
from paas.model import InstanceState
from paas.names import ProcessType
from paas.output import table, to_json
from paas.settings import Settings
from paas.state import releases
from paas.state.apps import App

_PROPERTIES = {item.key: item.help for item in declared(Settings()) if item.noun == "ps"}


@command(
    "ps:scale",
    Flag("--skip-deploy", "note it for the next deploy or restart"),
    FORMAT,
    app_argument(),
    Argument("process=count", many=True, optional=True),
    shows_without="process=count",
    examples=("ps:scale wiki", "ps:scale wiki web=3 worker=1", "ps:scale --skip-deploy wiki web=2"),
)
def scale(ctx: Context, app: str, format: str | None, skip_deploy: bool, **counts: list[str]) -> None:
    """Show or set how many instances of each process type run. Instances that stay are left alone."""
    found = ctx.app(app)
    wanted = parse_scale(counts["process=count"])
    if wanted:
        ctx.platform.changes.scale(found.name, wanted, ctx.request(), restart=not skip_deploy)
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
    ALL,
    PARALLEL,
    app_argument(optional=True),
    Argument("process", ProcessType, optional=True),
    examples=("ps:restart wiki", "ps:restart wiki worker", "ps:restart --all --parallel 2"),
)
def restart(ctx: Context, app: str | None, process: ProcessType | None, all: bool, parallel: int | None) -> int:
    """Replace the instances of an app by new ones of the same release, without losing a request."""

    def change(found: App, request: Request) -> None:
        ctx.platform.changes.restart(found.name, process, request)
        request.out.heading(f"Restarted {found.name}")

    return one_or_all(ctx, app, all, parallel, _runs, change)


@command("ps:stop", ALL, PARALLEL, app_argument(optional=True), examples=("ps:stop wiki", "ps:stop --all"))
def stop(ctx: Context, app: str | None, all: bool, parallel: int | None) -> int:
    """Stop an app; visitors get a page that says so. It stays stopped until ps:start or the next push."""

    def change(found: App, request: Request) -> None:
        ctx.platform.changes.stop(found.name, request)
        request.out.heading(f"Stopped {found.name}")

    return one_or_all(ctx, app, all, parallel, _runs, change)


@command("ps:start", ALL, PARALLEL, app_argument(optional=True), examples=("ps:start wiki", "ps:start --all"))
def start(ctx: Context, app: str | None, all: bool, parallel: int | None) -> int:
    """Start an app that was stopped."""

    def change(found: App, request: Request) -> None:
        ctx.platform.changes.start(found.name, request)
        request.out.heading(f"Started {found.name}")

    return one_or_all(ctx, app, all, parallel, lambda found: found.release is not None and found.stopped, change)


@command("ps:restore", app_argument(optional=True), examples=("ps:restore", "ps:restore wiki"))
def restore(ctx: Context, app: str | None) -> int:
    """Start again whatever of an app, or of all, has ended and should run.

    After a restart of the machine this happens by itself, unless `ps:set <app> restore false` says otherwise: name such
    an app to have it started.
    """

    def change(found: App, request: Request) -> None:
        ctx.platform.changes.start(found.name, request)
        request.out.heading(f"Restored {found.name}")

    def missing(found: App) -> bool:
        rows = releases.instances(ctx.platform.db, found)
        wanted = _runs(found) and ctx.platform.properties.value("ps", "restore", found)
        return wanted and any(not row.instance.state.up for row in rows)

    return one_or_all(ctx, app, app is None, None, missing, change)


@command("ps:retire", app_argument(optional=True), examples=("ps:retire",))
def retire(ctx: Context, app: str | None) -> None:
    """Show which replaced instances still finish their connections. They end by themselves: nothing is to be swept."""
    found = ctx.app(app) if app else None
    rows = releases.instances(ctx.platform.db, found, (InstanceState.DRAINING,))
    for row in rows:
        ctx.out.detail(f"{row.instance.app} {row.instance.name} (container {row.instance.id[:12]})")
    ctx.out.heading(f"{len(rows)} to end")


@command("ps:inspect", app_argument(), examples=("ps:inspect wiki",), effect="reads")
def inspect(ctx: Context, app: str) -> None:
    """Describe the containers of an app, as `inspect` does: JSON, without the values of variables."""
    name, containers = ctx.app(app).name, ctx.platform.containers
    found = []
    for each in lookup.every(ctx.platform.db):
        if each.app == name:
            with contextlib.suppress(NotFound):  # one that is replaced may go meanwhile
                found.append(description(each, containers.parts, containers.life))
    ctx.out.line(to_json(found))


@command("ps:rebuild", ALL, PARALLEL, app_argument(optional=True), examples=("ps:rebuild wiki", "ps:rebuild --all"))
def rebuild(ctx: Context, app: str | None, all: bool, parallel: int | None) -> int:
    """Build the deployed commit again, or one that was pushed and not deployed, and deploy the result."""
    return one_or_all(ctx, app, all, parallel, _runs, ctx.platform.pipeline.rebuild)


def _runs(app: App) -> bool:
    return app.release is not None and not app.stopped


def _report(ctx: Context, app: App) -> Report:
    rows = releases.instances(ctx.platform.db, app)
    found: Report = {
        "deployed": app.release is not None,
        "running": bool(rows) and not app.stopped,
        "stopped": app.stopped,
        "processes": len(rows),
    }
    for row in sorted(rows, key=lambda row: row.instance.state is InstanceState.DRAINING):
        text = f"{row.instance.state} (container {row.instance.id[:12]}, release {row.instance.release})"
        if row.unready:
            text += f"; gets no requests because it {'; '.join(row.unready.values())}"
        if row.restarts:
            text += f"; restarted {row.restarts} times, last because it {row.reason}"
        elif row.instance.state is InstanceState.ENDED and row.reason:
            text += f"; it {row.reason}"
        key = f"status-{row.instance.name}"
        found[key if key not in found else f"{key}-{row.instance.id[:6]}"] = text
    return found


define(
    "ps",
    "the processes of an app",
    _PROPERTIES,
    ("ps:set wiki restart-policy on-failure:5", "ps:set wiki stop-timeout-seconds 60"),
    of_app=_report,
)


def running_instance(ctx: Context, app: App, name: str | None) -> str:
    """The container id of `web`, `web.2`, or without a name of the first instance. Raises Conflict."""
    rows = [row.instance for row in releases.instances(ctx.platform.db, app) if row.instance.state == "running"]
    matching = [i for i in rows if name in (None, i.process, i.name)]
    if not matching:
        running = ", ".join(i.name for i in rows) or "nothing"
        raise Conflict(f"{app.name} runs no {name or 'process'}", hint=f"Running: {running}")
    return matching[0].id
