"""The same for many apps, containers or volumes, one after the other or side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace

from paas.commands.context import Context
from paas.commands.declare import Flag
from paas.deploy.held import Request
from paas.errors import InvalidInput, PaasError, UsageError
from paas.names import shown
from paas.output import Prefixed
from paas.state.apps import App

_MOST = 32
_SIDE_BY_SIDE = 8


def _number(text: str) -> int:
    if text == "-1":
        return os.cpu_count() or 1
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST):
        raise InvalidInput(f"{shown(text)} is not how many", hint=f"1 to {_MOST}, or -1 for one a processor.")
    return int(text)


ALL = Flag("--all", "all apps")
PARALLEL = Flag("--parallel", "so many of them at once, -1: one a processor", "NUMBER", parse=_number)

Change = Callable[[App, Request], None]


def one_or_all(
    ctx: Context, app: str | None, every: bool, parallel: int | None, concerns: Callable[[App], bool], change: Change
) -> int:
    """Do it to the app, or with `every` to all that it concerns; returns the exit status. One that fails stops no
    other."""
    if (app is None) is not every:
        raise UsageError("Name an app, or --all", hint="Not both.")
    if app is not None:
        change(ctx.app(app), ctx.request())
        return 0
    apps = [found for found in ctx.platform.apps.list() if concerns(found)]
    if parallel is None or parallel == 1:
        return _worst([_tried(ctx, found, ctx.request(), change) for found in apps])
    with ThreadPoolExecutor(parallel, thread_name_prefix="apps") as workers:
        jobs = [
            workers.submit(_tried, ctx, found, replace(ctx.request(), out=Prefixed(ctx.out, found.name)), change)
            for found in apps
        ]
        return _worst(job.result() for job in jobs)


def each(ctx: Context, names: Sequence[str], act: Callable[[str], object]) -> int:
    """Do it to what each word names, side by side, and say in their order which were done and why the others were not;
    returns the exit status. One that fails stops no other."""
    statuses = []
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="each") as workers:
        jobs = [workers.submit(copy_context().run, act, name) for name in names]
        for name, job in zip(names, jobs, strict=True):
            try:
                job.result()
            except PaasError as error:
                ctx.out.warn(error.message)
                if error.hint:
                    ctx.out.warn(error.hint)
                statuses.append(error.exit_code)
            else:
                ctx.out.line(name)
    return _worst(statuses)


def _tried(ctx: Context, app: App, request: Request, change: Change) -> int:
    try:
        ctx.platform.changes.refuse_if_locked(app)
        change(app, request)
    except PaasError as error:
        ctx.out.warn(f"{app.name}: {error.message}")
        return error.exit_code
    return 0


def _worst(statuses: Iterable[int]) -> int:
    return max(statuses, default=0)
