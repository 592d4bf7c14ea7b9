"""logs — what apps and containers print."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.containers import lookup
from paas.errors import Conflict, InvalidInput, NotFound
from paas.names import shown
from paas.output import Hangup
from paas.runtime.logs import Line, Stop, merge
from paas.runtime.logs import follow as go_on
from paas.runtime.logs import tail as read_tail
from paas.state import containers, releases
from paas.state.apps import App

_ALL = 9_999_999
_USUAL = 100
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def _count(text: str) -> int:
    if text == "all":
        return _ALL
    if not (text.isascii() and text.isdigit() and len(text) <= 7):
        raise InvalidInput(f"{shown(text)} is not a number of lines")
    return int(text)


def _since(text: str) -> datetime:
    """`10m`, `1h30m`, `2024-05-01T10:00:00Z` or seconds since 1970."""
    match = _DURATION.fullmatch(text)
    try:
        if match and any(match.groups()):
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            return datetime.now(UTC) - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if re.fullmatch(r"\d{1,11}(\.\d+)?", text, re.ASCII):
            return datetime.fromtimestamp(float(text), UTC)
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{shown(text)} is not a time", hint="Examples: 10m, 2h30m, 2024-05-01T10:00:00Z") from None


@command(
    "logs",
    Flag("--tail", "go on as lines are written; with a number, that many lines", short="-t", parse=_count, number=True),
    Flag("--follow", "go on as lines are written", short="-f"),
    Flag("--num", "how many lines (default 100 of an app, all of a container)", "NUMBER", parse=_count, short="-n"),
    Flag("--since", "only lines since then: 10m, or a time", "TIME", parse=_since),
    Flag("--timestamps", "of a container: the time before each line"),
    Flag("--ps", "of an app: only this process, web or web.2", "PROCESS", short="-p"),
    Flag("--quiet", "of an app: the lines alone, without time and process", short="-q"),
    Argument("app-or-container"),
    examples=("logs wiki", "logs wiki -t -p web", "logs wiki -n 20 -q", "logs -f --tail 20 shop-db"),
)
def logs(
    ctx: Context,
    app_or_container: str,
    tail: bool | int,
    follow: bool,
    num: int | None,
    since: datetime | None,
    timestamps: bool,
    ps: str | None,
    quiet: bool,
) -> None:
    """Show what an app's processes, or a container, have printed.

    The name is an app's if there is an app of that name, else a container's (or the beginning of its id). What a
    container printed to its error stream comes on yours.
    """
    goes_on = follow or tail is True
    count = tail if tail is not True and tail is not False else num
    app = ctx.platform.apps.find(app_or_container)
    if app is not None:
        _of_app(ctx, app, _USUAL if count is None else count, since, ps, quiet, goes_on)
        return
    try:
        found = lookup.find(ctx.platform.db, app_or_container)
    except NotFound as error:
        raise _neither(ctx, app_or_container, error) from None
    runtime = ctx.platform.runtime

    def show(_: Path, line: Line) -> None:
        text = f"{line.time} {line.text}\n" if timestamps else f"{line.text}\n"
        _write(ctx.stderr if line.stream == "stderr" else ctx.stdout, text)

    stop = _UntilEnd(ctx, found.id) if found.row else ctx.hung_up
    _show(ctx, [runtime.log_path(found.id)], _ALL if count is None else count, since, stop if goes_on else None, show)


def _of_app(
    ctx: Context, app: App, count: int, since: datetime | None, ps: str | None, quiet: bool, goes_on: bool
) -> None:
    instances = [
        row.instance
        for row in releases.instances(ctx.platform.db, app)
        if ps in (None, row.instance.process, row.instance.name)
    ]
    if not instances:
        raise Conflict(f"{app.name} has no {ps or 'process'}", hint="ps:report shows what runs.")
    runtime = ctx.platform.runtime
    names = {runtime.log_path(instance.id): instance.name for instance in instances}

    def show(path: Path, line: Line) -> None:
        ctx.out.line(line.text if quiet else f"{line.time} app[{names[path]}]: {line.text}")

    _show(ctx, list(names), count, since, ctx.hung_up if goes_on else None, show)


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


def _show(
    ctx: Context,
    paths: list[Path],
    count: int,
    since: datetime | None,
    stop: Stop | None,
    show: Callable[[Path, Line], None],
) -> None:
    for path, line in merge({path: read_tail(path, count) for path in paths}, count):
        if since is None or _time_of(line) >= since:
            show(path, line)
    if stop is not None:
        for path, line in go_on(paths, stop):
            show(path, line)


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
