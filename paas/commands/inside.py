"""exec and attach — running containers, from inside."""

from __future__ import annotations

import os

from paas.commands.attaching import follow, stay
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.containers import lookup, model
from paas.errors import Conflict, InvalidInput, NoSuchCommand, UsageError
from paas.runtime import asking
from paas.state import people
from paas.state.containers import State


@command(
    "exec",
    Flag("--detach", "let it run behind, without input, output and terminal", short="-d"),
    Flag("--interactive", "pass your input on to it", short="-i"),
    Flag("--tty", "give it a terminal", short="-t"),
    Flag("--user", "a name or id of the image, optionally with a group", "USER[:GROUP]", short="-u"),
    Flag("--env", "a variable; without a value, that which it has here", "KEY[=VALUE]", short="-e", many=True),
    Flag("--workdir", "where it begins", "DIRECTORY", short="-w"),
    Argument("container"),
    Argument("command", rest=True),
    admin=True,
    page="containers",
    examples=(
        "exec shop-db ls -l /data",
        "exec -it shop-db sh",
        "exec -u 33 -w /srv wiki.web.1 id",
        "exec -d shop-db sh -c 'sleep 60; touch /tmp/done'",
    ),
)
def exec(
    ctx: Context,
    container: str,
    command: list[str],
    detach: bool,
    interactive: bool,
    tty: bool,
    user: str | None,
    env: list[str],
    workdir: str | None,
) -> int:
    """Run another command in a running container. The exit status is the command's."""
    tty, interactive = tty and not detach, interactive and not detach
    found = lookup.find(ctx.platform.db, container)
    if found.row is not None and found.row.state is State.PAUSED:
        raise Conflict(f"Container {found.name} is paused", hint=f"unpause {found.name}")
    if tty and not ctx.tty:
        raise UsageError("-t needs a terminal on your side", hint="Over ssh: ssh -t ...; in a script leave out -t.")
    if workdir is not None and not workdir.startswith("/"):
        raise InvalidInput("The working directory has to be an absolute path", hint="Example: -w /srv")
    variables = {**({"TERM": ctx.term or "xterm"} if tty else {}), **asking.variables(env, ctx.environment)}
    people.record(ctx.platform.db, ctx.who, found.app or "", "container exec", found.name)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    streams = (nothing, nothing, nothing) if detach else (ctx.stdin if interactive else nothing, ctx.stdout, ctx.stderr)
    try:
        session = ctx.platform.runtime.exec(
            found.id,
            command,
            terminal=tty,
            stdio=streams,
            env=variables,
            user=user,
            cwd=workdir,
        )
    finally:
        os.close(nothing)
    if detach:
        status = session.wait(timeout=0)
        session.leave()
        if status:
            raise NoSuchCommand(f"{command[0]} cannot be run in {found.name}, or failed at once (status {status})")
        session.leave()
        return 0
    return follow(ctx, session)


@command(
    "attach",
    Flag("--no-stdin", "only watch: your input stays yours"),
    Argument("container"),
    admin=True,
    page="containers",
    examples=("attach shop-shell",),
)
def attach(ctx: Context, container: str, no_stdin: bool) -> int:
    """Join a container that runs, as if you had run it: its terminal or streams, its exit status.

    ctrl-p ctrl-q leaves a terminal, and the container goes on; without a terminal, Ctrl-C is passed on to it.
    """
    row = lookup.own(ctx.platform.db, container, "attach")
    if row.state is not State.RUNNING:
        raise Conflict(f"Container {row.name} is not running", hint=f"start -a {row.name}")
    options = model.loads(row.options)
    if options.terminal and options.stdin and not ctx.tty and not no_stdin:
        raise UsageError("Its terminal needs one on your side", hint="Over ssh: ssh -t ...; or watch: --no-stdin")
    people.record(ctx.platform.db, ctx.who, "", "container attach", row.name)
    return stay(
        ctx,
        lambda before: before(row.id),
        terminal=options.terminal and not no_stdin,
        stdin=options.stdin and not no_stdin,
    )
