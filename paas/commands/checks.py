"""checks:* — how new instances are checked, and how old ones go."""

from __future__ import annotations

from datetime import UTC, datetime

from paas.apps.checking import SETTABLE, lists
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, app_argument
from paas.commands.properties import define
from paas.errors import Conflict
from paas.names import ProcessType
from paas.schedulers.checks import title_of
from paas.schedulers.policy import NOUN
from paas.state import releases
from paas.state.apps import App

define(
    NOUN,
    "checks",
    {item.key: item.help for item in SETTABLE},
    ("checks:set wiki wait-to-retire 2m", "checks:set --global attempts 5", "checks:set wiki default-wait"),
)

_PROCESSES = Argument("process", ProcessType, optional=True, many=True)


def _change(ctx: Context, app: str, wanted: str, processes: list[ProcessType]) -> None:
    found = ctx.app(app)
    properties = ctx.platform.properties

    def rows(app: App) -> dict[str, str | None]:
        disabled, skipped = (properties.raw(NOUN, key, app) or "" for key in ("disabled-list", "skipped-list"))
        values = lists(disabled, skipped, wanted, processes)
        return {properties.check(NOUN, key, value).row: value or None for key, value in values.items()}

    what = " ".join(processes) or "all processes"
    ctx.platform.changes.properties(found.name, rows, f"Checks {wanted} for {what}", ctx.request())
    ctx.out.heading(f"Checks are {wanted} for {what}")


@command("checks:disable", app_argument(), _PROCESSES, examples=("checks:disable wiki", "checks:disable wiki worker"))
def disable(ctx: Context, app: str, process: list[ProcessType]) -> None:
    """Let old instances end before new ones begin, and check nothing: for what must never run twice.

    Of all processes, or of some. The app does not answer for a moment at each deploy.
    """
    _change(ctx, app, "disabled", process)


@command("checks:skip", app_argument(), _PROCESSES, examples=("checks:skip wiki", "checks:skip wiki worker"))
def skip(ctx: Context, app: str, process: list[ProcessType]) -> None:
    """Let new instances take over at once, without waiting until they are healthy."""
    _change(ctx, app, "skipped", process)


@command("checks:enable", app_argument(), _PROCESSES, examples=("checks:enable wiki", "checks:enable wiki web"))
def enable(ctx: Context, app: str, process: list[ProcessType]) -> None:
    """Check new instances before they take over, as is done unless checks were disabled or skipped."""
    _change(ctx, app, "enabled", process)


@command(
    "checks:run",
    app_argument(),
    Argument("process", optional=True),
    examples=("checks:run wiki", "checks:run wiki web.2"),
)
def run(ctx: Context, app: str, process: str | None) -> int:
    """Make the startup checks now, once, on what runs: of a process type, or of one instance. Status 1 if one fails."""
    found = ctx.app(app)
    release = ctx.platform.changes.deployed(found)
    rows = [
        row
        for row in releases.instances(ctx.platform.db, found)
        if row.instance.state == "running" and process in (None, row.instance.process, row.instance.name)
    ]
    if not rows:
        raise Conflict(f"{found.name} runs no {process or 'process'}", hint="ps:report shows what runs.")
    status = 0
    for row in rows:
        ctx.out.heading(f"Running healthchecks ({row.instance.name})")
        up = (datetime.now(UTC) - datetime.fromisoformat(row.started.replace("Z", "+00:00"))).total_seconds()
        for check, reason in ctx.platform.checks.look(row.instance, release, up):
            if reason:
                status = status if check.warn else 1
                ctx.out.warn(f"Healthcheck failed name={title_of(check)!r}: {reason}")
            else:
                ctx.out.detail(f"Healthcheck succeeded name={title_of(check)!r}")
    return status
