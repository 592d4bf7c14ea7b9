"""events — who did what."""

from __future__ import annotations

from datetime import UTC, datetime

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.commands.typed import count, moment
from paas.errors import Conflict
from paas.output import to_json
from paas.state import events as log
from paas.state.events import Event

_USUAL = 100
_PAUSE = 0.3
_KEYS = ("at", "who", "address", "app", "action", "detail", "outcome")


@command(
    "events",
    FORMAT,
    Flag("--num", "how many (default 100)", "NUMBER", parse=count, short="-n"),
    Flag("--tail", "go on as things happen", short="-t"),
    Flag("--who", "only what this user did", "USER"),
    Flag("--since", "only since then: 10m, 2h30m, or a time", "TIME", parse=moment),
    Argument("app-or-former", optional=True),
    needs="view",
    lists=True,
    examples=("events", "events wiki -n 20", "events --who alice --since 2h", "events -t --format json"),
)
def events(
    ctx: Context,
    app_or_former: str | None,
    num: int | None,
    tail: bool,
    who: str | None,
    since: datetime | None,
    format: str | None,
) -> None:
    """Show who did what, from where and how it went, the newest last.

    Changes, pushes, commands in containers and refused attempts are recorded, never values of config vars; those of
    apps that are gone stay. Who is no admin sees the events of the apps that they may view, and their own. With --tail,
    JSON comes as an object a line.
    """
    visible = None if ctx.grants.admin else [str(each.name) for each in ctx.platform.apps.list()]
    begin = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if since else None

    def found(after: int, limit: int) -> list[Event]:
        narrowed = log.Narrowed(app_or_former, who, begin, visible, ctx.who.name)
        return log.events(ctx.platform.db, limit, narrowed, after=after)

    seen = found(0, _USUAL if num is None else num)
    if format == "json" and not tail:
        ctx.out.line(to_json([_fields(event) for event in seen]))
        return
    last = log.newest(ctx.platform.db) if tail and not seen else 0
    while True:
        for event in seen:
            ctx.out.line(to_json(_fields(event), indent=None) if format == "json" else _line(event))
            last = event.id
        if not tail or ctx.hung_up.wait(_PAUSE):
            return
        seen = found(last, 1000)


def _fields(event: Event) -> dict[str, str]:
    return {key: getattr(event, key) for key in _KEYS}


def _line(event: Event) -> str:
    by = f"{event.who}@{event.address}" if event.address else event.who
    outcome = f"[{event.outcome}]" if event.outcome else ""
    return " ".join(filter(None, (event.at, by, event.app, event.action, event.detail, outcome)))


@command("events:list", FORMAT, admin=True, effect="reads", examples=("events:list",))
def list_actions(ctx: Context, format: str | None) -> None:
    """List what has been recorded, and how often."""
    found = log.actions(ctx.platform.db)
    if format == "json":
        ctx.out.line(to_json(dict(found)))
        return
    ctx.out.table(("EVENT", "COUNT"), [(action, str(number)) for action, number in found])


@command("events:on", admin=True, effect="reads", examples=("events:on",))
def on(ctx: Context) -> None:
    """Events are always recorded."""
    ctx.out.heading("Events are recorded")


@command("events:off", admin=True, effect="acts", examples=("events:off",))
def off(ctx: Context) -> None:
    """Refused: a log of who did what that can be silenced says nothing."""
    raise Conflict("Events are always recorded", hint=f"The last {log.KEPT} are kept; nothing has to be switched off.")
