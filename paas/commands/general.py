"""version, cleanup; and what Dokku has, paas has not, and why."""

from __future__ import annotations

import paas
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import app_argument
from paas.errors import Conflict
from paas.output import human_bytes


@command("version", needs="anyone", examples=("version",))
def version(ctx: Context) -> None:
    """Print the version of the engine."""
    ctx.out.line(f"paas version {paas.__version__}")


@command("cleanup", app_argument(optional=True), effect="acts", examples=("cleanup",))
def cleanup(ctx: Context, app: str | None) -> None:
    """Remove images and layers that nothing needs: no release, no name, no recent build.

    It happens by itself as well, after each build. Layers are shared by all apps, so an app narrows nothing.
    """
    done = ctx.platform.images.prune(budget=ctx.platform.settings.build_cache)
    ctx.out.heading(f"Removed {done.images} images, {done.layers} layers: {human_bytes(done.size)}")


@command("shell", needs="anyone", examples=("shell",))
def shell(ctx: Context) -> None:
    """Refused: there is no shell of the platform's own. A shell's history, completion and scripts do it better."""
    raise Conflict(
        "There is no shell of paas's own",
        hint="`completion bash` prints completion for yours; `enter APP` opens a shell in an app.",
    )


@command("trace:on", needs="anyone", page="general", examples=("trace:on",))
def trace_on(ctx: Context) -> None:
    """Refused: there are no scripts to trace. What happened stands in `events` and in the engine's log."""
    raise Conflict("There is nothing to trace", hint="`events` says who did what; the engine's log has the rest.")


@command("trace:off", needs="anyone", page="general", examples=("trace:off",))
def trace_off(ctx: Context) -> None:
    """Tracing is always off."""
    ctx.out.heading("Tracing is off")
