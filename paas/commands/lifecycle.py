"""start, stop, restart, kill, rm, wait, rename, pause, unpause — the life of containers that belong to no app."""

from __future__ import annotations

from collections.abc import Callable

from paas.commands.attaching import stay
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.commands.many import each
from paas.containers import lookup, model
from paas.containers.ends import status_of
from paas.containers.life import STOP_GRACE
from paas.containers.names import ContainerName
from paas.errors import Conflict, InvalidInput, UsageError
from paas.names import shown
from paas.state import people
from paas.state.containers import HOLDING, ContainerRow
from paas.system.signals import signal_number


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise InvalidInput(f"{shown(text)} is not a number of seconds")
    return float(text)


def _signal(text: str) -> str:
    signal_number(text)
    return text


_NAMES = Argument("container", many=True)
_TIME = Flag("--time", "seconds from its stop signal to SIGKILL (default 10)", "SECONDS", parse=_seconds, short="-t")


def _each(ctx: Context, names: list[str], verb: str, change: Callable[[ContainerRow], object]) -> int:
    def act(name: str) -> None:
        row = lookup.own(ctx.platform.db, name, verb)
        change(row)
        people.record(ctx.platform.db, ctx.who, "", f"container {verb}", row.name)

    return each(ctx, names, act)


@command(
    "start",
    Flag("--attach", "stay with it until it ends, as `attach` does", short="-a"),
    Flag("--interactive", "pass your input on to it, if it was made with -i", short="-i"),
    _NAMES,
    admin=True,
    page="containers",
    examples=("start shop-db", "start -a import-job"),
)
def start(ctx: Context, container: list[str], attach: bool, interactive: bool) -> int:
    """Start containers that have ended, upon what they had written."""
    life = ctx.platform.containers.life
    if not (attach or interactive):
        return _each(ctx, container, "start", lambda row: life.start(row.id))
    if len(container) != 1:
        raise UsageError("Only one container can be attached to", hint="start -a CONTAINER")
    row = lookup.own(ctx.platform.db, container[0], "start")
    if row.state in HOLDING:
        raise Conflict(f"Container {row.name} is {row.state}", hint=f"attach {row.name}")
    options = model.loads(row.options)
    people.record(ctx.platform.db, ctx.who, "", "container start", row.name)
    return stay(
        ctx,
        lambda before: life.start(row.id, before),
        terminal=options.terminal,
        stdin=options.stdin and interactive,
    )


@command(
    "stop", _TIME, _NAMES, admin=True, page="containers", examples=("stop shop-db", "stop -t 60 shop-db shop-cache")
)
def stop(ctx: Context, container: list[str], time: float | None) -> int:
    """Stop containers: their stop signal, ten seconds, then SIGKILL. What they have written stays."""
    life = ctx.platform.containers.life
    return _each(ctx, container, "stop", lambda row: life.stop(row.id, STOP_GRACE if time is None else time))


@command("restart", _TIME, _NAMES, admin=True, page="containers", examples=("restart shop-db",))
def restart(ctx: Context, container: list[str], time: float | None) -> int:
    """Stop containers and start them again."""
    life = ctx.platform.containers.life
    return _each(ctx, container, "restart", lambda row: life.restart(row.id, STOP_GRACE if time is None else time))


@command(
    "kill",
    Flag("--signal", "the signal to send (default KILL)", "SIGNAL", parse=_signal, short="-s"),
    _NAMES,
    admin=True,
    page="containers",
    examples=("kill shop-db", "kill -s HUP shop-db"),
)
def kill(ctx: Context, container: list[str], signal: str | None) -> int:
    """Send a signal to the first process of containers."""
    return _each(ctx, container, "kill", lambda row: ctx.platform.containers.life.kill(row.id, signal or "KILL"))


@command(
    "rm",
    Flag("--force", "end those that run", short="-f"),
    Flag("--volumes", "also the volumes that were made for them: those of their images, without a name", short="-v"),
    _NAMES,
    admin=True,
    page="containers",
    examples=("rm shop-db", "rm -f shop-db shop-cache", "rm -v import-job"),
)
def rm(ctx: Context, container: list[str], force: bool, volumes: bool) -> int:
    """Remove containers with all they have written; what is in volumes and mounted directories stays."""
    forced, life = force or ctx.force, ctx.platform.containers.life
    return _each(ctx, container, "rm", lambda row: life.remove(row.id, force=forced, volumes=volumes))


@command("pause", _NAMES, admin=True, page="containers", examples=("pause shop-db",))
def pause(ctx: Context, container: list[str]) -> int:
    """Freeze all processes of containers."""
    return _each(ctx, container, "pause", lambda row: ctx.platform.containers.life.pause(row.id))


@command("unpause", _NAMES, admin=True, page="containers", examples=("unpause shop-db",))
def unpause(ctx: Context, container: list[str]) -> int:
    """Let the processes of paused containers go on."""
    return _each(ctx, container, "unpause", lambda row: ctx.platform.containers.life.unpause(row.id))


@command(
    "rename",
    Argument("container"),
    Argument("new-name", ContainerName),
    admin=True,
    page="containers",
    examples=("rename shop-db old-shop-db",),
)
def rename(ctx: Context, container: str, new_name: ContainerName) -> None:
    """Give a container another name."""
    row = lookup.own(ctx.platform.db, container, "rename")
    ctx.platform.containers.life.rename(row.id, new_name)
    people.record(ctx.platform.db, ctx.who, "", "container rename", f"{row.name} {new_name}")


@command("wait", _NAMES, page="containers", needs="view", examples=("wait import-job",))
def wait(ctx: Context, container: list[str]) -> int:
    """Wait until containers end, and print the exit status of each."""
    ends = ctx.platform.containers.life.ends
    for name in container:
        row = lookup.own(ctx.platform.db, name, "wait")
        future = ends.next(row.id)
        try:
            row = ctx.platform.containers.life.get(row.id)
            status = row.exit_code if row.state not in HOLDING else status_of(future, ctx.hung_up)
        finally:
            ends.forget(row.id, future)
        if ctx.hung_up.is_set():
            return 130
        ctx.out.line(str(status or 0))
    return 0
