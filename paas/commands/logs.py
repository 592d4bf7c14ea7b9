"""logs — what apps and containers print."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from paas.apps.logs import PROPERTIES
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag, app_argument
from paas.commands.properties import define
from paas.commands.typed import ALL, count, moment
from paas.containers import lookup
from paas.errors import Conflict, NotFound, UsageError
from paas.output import Hangup
from paas.runtime.logs import Line, end_of, merge
from paas.runtime.logs import follow as go_on
from paas.runtime.logs import tail as read_tail
from paas.state import containers, releases
from paas.state.apps import App

_USUAL = 100
_NO_LINE = datetime.min.replace(tzinfo=UTC)
_SAME_DEPLOY = timedelta(minutes=2)

define(
    "logs",
    "logs",
    {item.key: item.help for item in PROPERTIES if item.key == "max-size"},
    ("logs:set wiki max-size 20m", "logs:set --global max-size"),
)


@command(
    "logs",
    Flag("--tail", "go on as lines are written; with a number, that many lines", short="-t", parse=count, number=True),
    Flag("--follow", "go on as lines are written", short="-f"),
    Flag("--num", "how many lines (default 100 of an app, all of a container)", "NUMBER", parse=count, short="-n"),
    Flag("--since", "only lines since then: 10m, or a time", "TIME", parse=moment),
    Flag("--grep", "only lines that have this text in them", "TEXT"),
    Flag("--timestamps", "of a container: the time before each line"),
    Flag("--ps", "of an app: only this process, web or web.2, or cron", "PROCESS", short="-p"),
    Flag("--quiet", "of an app: the lines alone, without time and process", short="-q"),
    Argument("app-or-container"),
    needs="view",
    examples=("logs wiki", "logs wiki -t -p web", "logs wiki --since 2d --grep ERROR", "logs -f --tail 20 shop-db"),
)
def logs(
    ctx: Context,
    app_or_container: str,
    tail: bool | int,
    follow: bool,
    num: int | None,
    since: datetime | None,
    grep: str | None,
    timestamps: bool,
    ps: str | None,
    quiet: bool,
) -> None:
    """Show what an app's processes, or a container, have printed.

    What an app printed before its last deploys and restarts is there as well: 64 MB of it, the oldest goes first. With
    --tail the processes of later deploys are followed too.

    The name is an app's if there is an app of that name, else a container's (or the beginning of its id). What a
    container printed to its error stream comes on yours.
    """
    goes_on = follow or tail is True
    number = tail if tail is not True and tail is not False else num
    app = ctx.platform.apps.find(app_or_container)
    wanted = _Wanted(since, grep)
    if app is not None:
        usual = ALL if since else _USUAL
        _of_app(ctx, app, usual if number is None else number, wanted, ps, quiet, goes_on)
        return
    try:
        found = lookup.find(ctx.platform.db, app_or_container)
    except NotFound as error:
        raise _neither(ctx, app_or_container, error) from None
    path = ctx.platform.runtime.log_path(found.id)

    def show(line: Line) -> None:
        text = f"{line.time} {line.text}\n" if timestamps else f"{line.text}\n"
        _write(ctx.stderr if line.stream == "stderr" else ctx.stdout, text)

    end = end_of(path)
    for line in read_tail(path, ALL if number is None else number, wanted.filter, until=end):
        show(line)
    if goes_on:
        stop = _UntilEnd(ctx, found.id) if found.row else ctx.hung_up
        for _, line in go_on({path: end}, stop):
            if wanted(line):
                show(line)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which lines are asked for."""

    since: datetime | None
    grep: str | None

    def __call__(self, line: Line) -> bool:
        if self.grep is not None and self.grep not in line.text:
            return False
        return self.since is None or _time_of(line) >= self.since

    @property
    def filter(self) -> Callable[[Line], bool] | None:
        """None for all: then a long log need not be read from its beginning."""
        return None if self.since is None and self.grep is None else self


def _of_app(ctx: Context, app: App, number: int, wanted: _Wanted, ps: str | None, quiet: bool, goes_on: bool) -> None:
    runtime, kept = ctx.platform.runtime, ctx.platform.kept_logs

    def is_meant(name: str) -> bool:
        return ps in (None, name, name.partition(".")[0])

    def living() -> dict[Path, str]:
        rows = releases.instances(ctx.platform.db, app)
        return {runtime.log_path(row.instance.id): row.instance.name for row in rows if is_meant(row.instance.name)}

    def cron() -> dict[Path, str]:
        journal = ctx.platform.cron.journal(app)
        return {path: "cron" for path in (journal.older, journal.path) if path.exists()} if is_meant("cron") else {}

    names = living() | cron()
    past = [instance for instance in kept.of(app.id) if is_meant(instance.name)]
    if not names and not past:
        raise Conflict(f"{app.name} has no {ps or 'process'}", hint="ps:report shows what runs.")

    def show(path: Path, line: Line) -> None:
        ctx.out.line(line.text if quiet else f"{line.time} app[{names[path]}]: {line.text}")

    def more() -> dict[Path, str]:
        names.update(found := living())
        return found

    running = {path: end_of(path) for path in names}
    found = {path: read_tail(path, number, wanted.filter, until=end) for path, end in running.items()}
    for instance in past:
        ended = datetime.fromisoformat(instance.ended)
        if (wanted.since and ended < wanted.since) or ended < _oldest_needed(found, number):
            break
        path = kept.path(instance)
        names[path] = instance.name
        found[path] = read_tail(path, number, wanted.filter)
    for path, line in merge(found, number):
        show(path, line)
    if goes_on:
        for path, line in go_on(running, ctx.hung_up, more):
            if wanted(line):
                show(path, line)


def _oldest_needed(found: dict[Path, list[Line]], number: int) -> datetime:
    """The time before which no line will be shown."""
    if not number or sum(map(len, found.values())) < number:
        return _NO_LINE
    return _time_of(merge(found, number)[0][1])


@command(
    "logs:failed",
    Flag("--all", "of all apps"),
    app_argument(optional=True),
    needs="view",
    lists=True,
    examples=("logs:failed wiki", "logs:failed --all"),
)
def failed(ctx: Context, app: str | None, all: bool) -> None:
    """Show what the containers of the last failed deploy printed: those that did not become healthy."""
    if (app is None) != all:
        raise UsageError("Name an app, or say --all", hint="Usage: logs:failed <app>|--all")
    for each in ctx.platform.apps.list() if all else [ctx.app(app or "")]:
        kept = [instance for instance in ctx.platform.kept_logs.of(each.id) if instance.failed]
        if not kept and not all:
            raise Conflict(f"No deploy of {each.name} has failed whose containers printed anything")
        last = datetime.fromisoformat(kept[0].ended) if kept else _NO_LINE
        for instance in reversed(kept):
            if instance.release == kept[0].release and last - datetime.fromisoformat(instance.ended) < _SAME_DEPLOY:
                ctx.out.result(f"{each.name} {instance.name}, ended {instance.ended}")
                for line in read_tail(ctx.platform.kept_logs.path(instance), ALL):
                    ctx.out.line(f"{line.time} app[{instance.name}]: {line.text}")


class _UntilEnd:
    """Set when the caller is gone; or when the container has ended, asked once more after that: for its last lines."""

    def __init__(self, ctx: Context, id: str) -> None:
        self._ctx = ctx
        self._id = id
        self._ended = False

    def is_set(self) -> bool:
        if self._ended or self._ctx.hung_up.is_set():
            return True
        row = containers.get(self._ctx.platform.db, self._id)
        self._ended = row is None or row.state not in containers.HOLDING
        return False

    def wait(self, timeout: float) -> bool:
        return self._ctx.hung_up.wait(timeout)


def _time_of(line: Line) -> datetime:
    """conmon writes nanoseconds, of which Python reads the first six digits."""
    try:
        return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", line.time).replace("Z", "+00:00"))
    except ValueError:
        return datetime.now(UTC)


def _write(descriptor: int, text: str) -> None:
    view = memoryview(text.encode("utf-8", "backslashreplace"))
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise Hangup from error


def _neither(ctx: Context, name: str, error: NotFound) -> NotFound:
    try:
        ctx.platform.apps.get(name)
    except NotFound as missing:
        if "Did you mean" in (missing.hint or ""):
            return missing
    return error
