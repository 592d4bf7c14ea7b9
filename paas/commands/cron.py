"""cron:* — commands that an app has run at certain times, from its app.json or paas.yml."""

from __future__ import annotations

from datetime import datetime

from paas.apps.schedule import Schedule
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag, app_argument
from paas.commands.properties import define
from paas.deploy.cron import NOUN, PROPERTIES, Entry
from paas.names import brief
from paas.output import table, to_json
from paas.state import people

define(
    NOUN,
    "cron tasks",
    {item.key: item.help for item in PROPERTIES},
    ("cron:set wiki maintenance true", "cron:set --global maintenance true", "cron:set wiki maintenance"),
)


@command("cron:list", FORMAT, app_argument(), needs="view", examples=("cron:list wiki", "cron:list wiki --format json"))
def list_tasks(ctx: Context, app: str, format: str | None) -> None:
    """List the cron tasks of an app's release that serves, and when each runs next.

    Times are the host's own. What was missed while paas was not running is not made up for, and nothing runs while the
    app is stopped. A task is ended after 24 hours. What it prints is in `logs <app> --ps cron`.
    """
    entries = ctx.platform.cron.entries(ctx.app(app))
    if format == "json":
        ctx.out.line(to_json([_described(entry) for entry in entries]))
        return
    rows = [
        (entry.id, entry.task.schedule, _state(entry), entry.task.concurrency, _next(entry), brief(entry.task.text))
        for entry in entries
    ]
    for line in table(("ID", "Schedule", "State", "Concurrency", "Next", "Command"), rows):
        ctx.out.line(line)


def _described(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "app": entry.app.name,
        "command": entry.task.text,
        "schedule": entry.task.schedule,
        "concurrency_policy": entry.task.concurrency,
        "maintenance": entry.maintenance,
        "suspended": entry.suspended,
        "next": _next(entry),
    }


def _state(entry: Entry) -> str:
    return "suspended" if entry.suspended else "maintenance" if entry.maintenance else "active"


def _next(entry: Entry) -> str:
    if entry.is_off:
        return ""
    return Schedule(entry.task.schedule).after(datetime.now()).isoformat(sep=" ", timespec="minutes")


_ID = Argument("id")


@command(
    "cron:run",
    Flag("--detach", "let it run behind"),
    app_argument(),
    _ID,
    examples=("cron:run wiki 5cruaotm4yzzpnjlsdunblj8qyjp", "cron:run wiki 5cruaotm4yzzpnjlsdunblj8qyjp --detach"),
)
def run(ctx: Context, app: str, id: str, detach: bool) -> int:
    """Run a cron task now, also one that is suspended. The exit status is the command's; 124 after 24 hours."""
    found = ctx.app(app)
    entry = ctx.platform.cron.find(found, id)
    people.record(ctx.platform.db, ctx.who, found.name, "cron:run", entry.task.text)
    if detach:
        ctx.platform.cron.detach(entry)
        ctx.out.heading(f"Runs behind; what it prints: logs {found.name} --ps cron")
        return 0
    return ctx.platform.cron.run(entry, ctx.out.raw, ctx.hung_up.is_set)


@command("cron:suspend", app_argument(), _ID, examples=("cron:suspend wiki 5cruaotm4yzzpnjlsdunblj8qyjp",))
def suspend(ctx: Context, app: str, id: str) -> None:
    """Let a cron task not run until it is resumed; that holds through deploys as long as its id stays."""
    _suspend(ctx, app, id, True)


@command("cron:resume", app_argument(), _ID, examples=("cron:resume wiki 5cruaotm4yzzpnjlsdunblj8qyjp",))
def resume(ctx: Context, app: str, id: str) -> None:
    """Let a suspended cron task run again."""
    _suspend(ctx, app, id, False)


def _suspend(ctx: Context, app: str, id: str, suspended: bool) -> None:
    found = ctx.app(app)
    entry = ctx.platform.cron.find(found, id)
    ctx.platform.cron.suspend(entry, suspended)
    verb = "suspend" if suspended else "resume"
    people.record(ctx.platform.db, ctx.who, found.name, f"cron:{verb}", entry.task.text)
    ctx.out.heading(f"{verb.capitalize()}{'ed' if suspended else 'd'} {brief(entry.task.text)}")
