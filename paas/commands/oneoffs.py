"""run:* — commands of apps that run on when their caller leaves."""

from __future__ import annotations

import shlex

from paas.apps.environment import parse_assignments
from paas.apps.properties import duration
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag, app_argument
from paas.commands.typed import count
from paas.deploy.oneoff import Attached
from paas.errors import NotFound, UsageError
from paas.output import to_json
from paas.runtime.logs import end_of, follow
from paas.runtime.logs import tail as last_lines
from paas.state.apps import App
from paas.state.oneoffs import OneOffRow

TTL = 86400
_CONTAINER = Flag("--container", "the one of this name, such as wiki.run.4711", "NAME")


@command(
    "run:detached",
    Flag("--env", "a variable", "KEY=VALUE", short="-e", many=True),
    Flag("--ttl-seconds", "after which it is ended (default 86400)", "SECONDS", parse=duration),
    Flag("--no-tty", "as it is anyway"),
    Flag("--force-tty", "taken as Dokku takes it: nobody would see the terminal"),
    app_argument(),
    Argument("command", rest=True),
    effect="acts",
    page="run",
    examples=("run:detached wiki ./manage.py reindex", "run:detached -e DRY=1 --ttl-seconds 600 wiki cleanup"),
)
def detached(
    ctx: Context, app: str, command: list[str], env: list[str], ttl_seconds: int | None, no_tty: bool, force_tty: bool
) -> None:
    """Run a command in a new container of an app and leave it running; prints the container's name.

    The name of a process type stands for what its Procfile line says. Its output is in run:logs, and in the app's logs.
    """
    found = ctx.app(app)
    extra = parse_assignments(env) if env else {}
    row = ctx.platform.detached.start(found, command, extra, ctx.who, ttl_seconds or TTL)
    ctx.out.line(f"{found.name}.{row.name}")


@command("run:list", FORMAT, app_argument(), needs="view", page="run", examples=("run:list wiki",))
def list_runs(ctx: Context, app: str, format: str | None) -> None:
    """List the commands that run: those whose caller stays with them, and detached ones."""
    found = ctx.app(app)
    rows: list[Attached | OneOffRow] = [*ctx.platform.oneoff.attached(found), *ctx.platform.detached.of(found)]
    rows.sort(key=lambda row: row.started)
    if format == "json":
        entries = [
            {
                "name": f"{found.name}.{row.name}",
                "container_id": row.id,
                "command": shlex.join(row.command),
                "state": "running",
                "created_at": row.started,
                "expires_at": _expires(row),
                "detached": isinstance(row, OneOffRow),
                "who": row.who,
            }
            for row in rows
        ]
        ctx.out.line(to_json(entries))
        return
    ctx.out.result(f"{found.name} run containers")
    ctx.out.table(
        ("NAMES", "COMMAND", "CREATED", "ENDS AT LATEST"),
        [(f"{found.name}.{row.name}", shlex.join(row.command), row.started, _expires(row) or "-") for row in rows],
    )


def _expires(row: Attached | OneOffRow) -> str | None:
    return row.expires if isinstance(row, OneOffRow) else None


@command(
    "run:logs",
    _CONTAINER,
    Flag("--tail", "go on until it ends", short="-t"),
    Flag("--num", "how many lines (default 100)", "NUMBER", parse=count, short="-n"),
    Flag("--quiet", "the lines alone, without time and name", short="-q"),
    app_argument(optional=True),
    needs="view",
    lists=True,
    page="run",
    examples=("run:logs wiki", "run:logs --container wiki.run.4711 -t"),
)
def run_logs(ctx: Context, app: str | None, container: str | None, tail: bool, num: int | None, quiet: bool) -> None:
    """Show what a detached command has printed: the newest of an app, or one by its name, also when it has ended."""
    found, name = _meant(ctx, app, container)
    platform = ctx.platform
    rows = platform.detached.of(found)
    kept = {past.id: past for past in platform.kept_logs.of(found.id) if past.name.startswith("run.")}
    # One that has just ended may be among both; its log is with those that are kept then.
    running = {row.name: platform.runtime.log_path(row.id) for row in reversed(rows) if row.id not in kept}
    logs = dict(running)
    for past in kept.values():
        logs.setdefault(past.name, platform.kept_logs.path(past))
    chosen = name or next(iter(logs), "")
    if chosen not in logs:
        raise NotFound(f"{found.name} has run no {name or 'command detached'}", hint=f"run:list {found.name}")

    def show(line_time: str, text: str) -> None:
        ctx.out.line(text if quiet else f"{line_time} app[{chosen}]: {text}")

    end = end_of(logs[chosen])
    for line in last_lines(logs[chosen], 100 if num is None else num, until=end):
        show(line.time, line.text)
    if tail and chosen in running:
        for _, line in follow({logs[chosen]: end}, ctx.hung_up):
            show(line.time, line.text)


@command(
    "run:stop",
    _CONTAINER,
    app_argument(optional=True),
    effect="acts",
    lists=True,
    page="run",
    examples=("run:stop wiki", "run:stop --container wiki.run.4711"),
)
def run_stop(ctx: Context, app: str | None, container: str | None) -> None:
    """Stop the commands that an app runs, or one by its name."""
    found, name = _meant(ctx, app, container)
    detached, oneoff = ctx.platform.detached, ctx.platform.oneoff
    attached = [each for each in oneoff.attached(found) if name in ("", each.name, each.id)]
    for each in attached:
        oneoff.stop(each)
        ctx.out.heading(f"Stopped {found.name}.{each.name}")
    rows = [] if name and attached else [detached.named(found, name)] if name else detached.of(found)
    for row in rows:
        detached.stop(row)
        ctx.out.heading(f"Stopped {found.name}.{row.name}")
    if not rows and not attached:
        ctx.out.heading(f"{found.name} runs no command")


def _meant(ctx: Context, app: str | None, container: str | None) -> tuple[App, str]:
    """The app, and `run.4711` or nothing; the app is asked for whichever way it was named."""
    if container is None:
        if app is None:
            raise UsageError("Name an app, or a container with --container")
        return ctx.app(app), ""
    before, separator, number = container.rpartition(".run.")
    if not separator and app is None:
        raise UsageError(f"{container} is no name of a detached command", hint="Example: wiki.run.4711")
    return ctx.app(app or before), f"run.{number}" if separator else container
