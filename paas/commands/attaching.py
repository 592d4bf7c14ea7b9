"""Being with a container until it ends, or until one leaves: its streams, its terminal, signals."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack

from paas.commands.context import Context
from paas.containers.ends import status_of
from paas.containers.joining import Join
from paas.containers.life import Before
from paas.detaching import KIND
from paas.errors import Cancelled, Conflict, PaasError
from paas.runtime.exec import ExecSession

_PATIENCE = 10.0
"""Seconds that a container has to end after a signal of the caller's was passed on, before the caller is let go."""
_LAST_OUTPUT = 2.0


def stay(ctx: Context, begin: Callable[[Before], object], *, terminal: bool, stdin: bool) -> int:
    """Attach to a container that `begin` starts, or that runs: returns its exit status once it has ended.

    `begin(before)` calls `before(id)` when the container can be attached to and has not begun yet. A caller that is
    gone without a signal leaves it running; a signal is passed on.
    """
    life, runtime = ctx.platform.containers.life, ctx.platform.runtime
    waited: list[tuple[str, Future[int]]] = []
    joined: list[Join] = []
    with ExitStack() as undo:

        def before(id: str) -> None:
            future = life.ends.next(id)
            undo.callback(life.ends.forget, id, future)
            waited.append((id, future))
            attached = runtime.attach(id)
            if terminal and ctx.tty:
                runtime.resize(id, *ctx.size)
                ctx.terminal.on_resize(lambda rows, columns: runtime.resize(id, rows, columns))
                ctx.terminal.attach(KIND, attached.fileno())
                attached.close()
            else:
                join = Join(attached, ctx.stdin if stdin else None, ctx.stdout, ctx.stderr)
                joined.append(undo.enter_context(join))

        begin(before)
        if not waited:
            raise Conflict("The container runs already", hint="attach joins it.")
        id, future = waited[-1]
        status = status_of(future, ctx.hung_up)
        if status is None:
            return _left(ctx, id, future)
        for join in joined:
            join.drained(_LAST_OUTPUT)
        return status


def converse(ctx: Context, id: str, limit: float = math.inf) -> int:
    """Start a container that has a terminal and give it the caller's; returns its exit status once it has ended.

    Raises Cancelled after `limit` seconds.
    """
    runtime = ctx.platform.runtime
    runtime.resize(id, *ctx.size)
    with runtime.attach(id) as attached:
        ctx.terminal.on_resize(lambda rows, columns: runtime.resize(id, rows, columns))
        ctx.terminal.attach("conmon", attached.fileno())
        runtime.start(id)
        return ended(ctx, id, limit)


def ended(ctx: Context, id: str, limit: float = math.inf) -> int:
    """The exit status of a container once it has ended; 130 when the caller is gone. Raises Cancelled at the limit."""
    deadline = time.monotonic() + limit
    while (status := ctx.platform.runtime.wait(id, timeout=1.0)) is None:
        if ctx.hung_up.is_set():
            return 130
        if time.monotonic() > deadline:
            raise Cancelled("The command took longer than it may", hint="--ttl-seconds gives it more time.")
    return status


def follow(ctx: Context, session: ExecSession) -> int:
    """Be with another process of a container until it ends: returns its exit status. It ends when the caller goes."""
    with session:
        if session.master is not None:
            session.resize(*ctx.size)
            ctx.terminal.on_resize(session.resize)
            ctx.terminal.attach("pty", session.master)
        while (status := session.wait(timeout=1.0)) is None:
            if ctx.hung_up.is_set():
                return 130
        return status


def _left(ctx: Context, id: str, future: Future[int]) -> int:
    """The caller has typed Ctrl-C, or is gone."""
    if not ctx.terminal.signal:
        return 0
    try:
        ctx.platform.containers.life.kill(id, ctx.terminal.signal)
    except PaasError:
        pass  # ended meanwhile
    try:
        return future.result(timeout=_PATIENCE)
    except TimeoutError:
        return 130
