"""logs, run, enter — the containers of an app, seen from inside and outside."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from paas.apps.environment import parse_assignments
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag, app_argument
from paas.commands.ps import running_instance
from paas.errors import Conflict, InvalidInput
from paas.names import shown
from paas.runtime.logs import Line, follow, merge
from paas.runtime.logs import tail as read_tail
from paas.state import releases


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 7):
        raise InvalidInput(f"{shown(text)} is not a number of lines")
    return int(text)


@command(
    "logs",
    Flag("--tail", "go on as lines are written", short="-t"),
    Flag("--num", "how many lines (default 100)", "NUMBER", parse=_count, short="-n"),
    Flag("--ps", "only this process: web or web.2", "PROCESS", short="-p"),
    Flag("--quiet", "the lines alone, without time and process", short="-q"),
    app_argument(),
    examples=("logs wiki", "logs wiki -t -p web", "logs wiki -n 20 -q"),
)
def logs(ctx: Context, app: str, tail: bool, num: int | None, ps: str | None, quiet: bool) -> None:
    """Show what the processes of an app print."""
    found = ctx.app(app)
    instances = [
        row.instance
        for row in releases.instances(ctx.platform.db, found)
        if ps in (None, row.instance.process, row.instance.name)
    ]
    if not instances:
        running = ps or "process"
        raise Conflict(f"{found.name} has no {running}", hint="ps:report shows what runs.")
    runtime = ctx.platform.oneoff.runtime
    names = {runtime.log_path(instance.id): instance.name for instance in instances}

    def show(path: Path, line: Line) -> None:
        ctx.out.line(line.text if quiet else f"{line.time} app[{names[path]}]: {line.text}")

    last = 100 if num is None else num
    for path, line in merge({path: read_tail(path, last) for path in names}, last):
        show(path, line)
    if tail:
        for path, line in follow(list(names), ctx.hung_up):
            show(path, line)


@command(
    "run",
    Flag("--env", "a variable for this command only", "KEY=VALUE", short="-e", many=True),
    Flag("--no-tty", "no terminal, even when the caller has one"),
    app_argument(),
    Argument("command", rest=True),
    examples=("run wiki ls -l", "run -e DEBUG=1 wiki ./manage.py migrate", "run wiki bash"),
)
def run(ctx: Context, app: str, command: list[str], env: list[str], no_tty: bool) -> int:
    """Run a command in a new container of an app, with its config vars and storage, and remove it afterwards.

    With a terminal on your side (ssh -t) the command gets one. The exit status is the command's.
    """
    found = ctx.app(app)
    extra = parse_assignments(env) if env else {}
    terminal = ctx.tty and not no_tty
    oneoff = ctx.platform.oneoff
    runtime = oneoff.runtime
    with ExitStack() as undo:
        stdio = None if terminal else (ctx.stdin, ctx.stdout, ctx.stderr)
        id = oneoff.prepare(found, command, extra, undo, terminal=terminal, stdio=stdio)
        if terminal:
            runtime.resize(id, *ctx.size)
            attached = runtime.attach(id)
            undo.callback(attached.close)
            ctx.terminal.on_resize(lambda rows, columns: runtime.resize(id, rows, columns))
            ctx.terminal.attach("conmon", attached.fileno())
        runtime.start(id)
        while (status := runtime.wait(id, timeout=1.0)) is None:
            if ctx.hung_up.is_set():
                return 130
        return status


@command(
    "enter",
    app_argument(),
    Argument("process-and-command", rest=True, optional=True),
    examples=("enter wiki", "enter wiki web.2", "enter wiki web ps aux"),
)
def enter(ctx: Context, app: str, process_and_command: list[str]) -> int:
    """Enter a running container of an app, with a shell or another command."""
    found = ctx.app(app)
    words = list(process_and_command)
    known = {row.instance.process for row in releases.instances(ctx.platform.db, found)}
    name = words.pop(0) if words and words[0].partition(".")[0] in known else None
    id = running_instance(ctx, found, name)
    arguments = words or ["/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash || exec sh"]
    runtime = ctx.platform.oneoff.runtime
    session = runtime.exec(
        id, arguments, terminal=ctx.tty, stdio=(ctx.stdin, ctx.stdout, ctx.stderr), env={"TERM": ctx.term}
    )
    with session:
        if session.master is not None:
            session.resize(*ctx.size)
            ctx.terminal.on_resize(session.resize)
            ctx.terminal.attach("pty", session.master)
        while (status := session.wait(timeout=1.0)) is None:
            if ctx.hung_up.is_set():
                return 130
        return status
