"""builder:*, builder-dockerfile:* and docker-options:* — how apps are built."""

from __future__ import annotations

import shlex

from paas.apps.build_settings import OTHER_BUILDERS, cache_scope, declared
from paas.commands.catalog import CATALOG, command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag, app_argument
from paas.commands.properties import define
from paas.commands.report import Report, show
from paas.errors import InvalidInput, UsageError
from paas.names import shown
from paas.output import human_bytes
from paas.settings import Settings
from paas.state import people

_KEYS = declared(Settings())
_PHASES = ("build", "deploy", "run")

CATALOG.absent |= {
    f"builder-{name}": "Apps are built from a Dockerfile: see builder-dockerfile:set." for name in OTHER_BUILDERS
}


def _usage(ctx: Context) -> Report:
    cache = ctx.platform.images.cache_usage()
    return {
        "builder-cache-entries": cache.entries,
        "builder-cache-bytes": cache.size,
        "builder-cache-reclaimable-bytes": cache.reclaimable,
        "builder-cache-mount-bytes": sum(size for _, size in ctx.platform.caches.usage()),
    }


define(
    "builder",
    "builds",
    {item.key: item.help for item in _KEYS if item.noun == "builder"},
    (
        "builder:set wiki memory 2g",
        "builder:set shop build-dir services/shop",
        "builder:set --global trust-host-ca true",
    ),
    _usage,
)
define(
    "builder-dockerfile",
    "builds from a Dockerfile",
    {item.key: item.help for item in _KEYS if item.noun == "builder-dockerfile"},
    ("builder-dockerfile:set wiki dockerfile-path deploy/Dockerfile",),
)


@command(
    "builder:prune",
    Flag("--mounts", "also what RUN --mount=type=cache keeps: of one app, or of all"),
    app_argument(optional=True),
    admin=True,
    examples=("builder:prune", "builder:prune --mounts wiki"),
)
def prune(ctx: Context, app: str | None, mounts: bool) -> None:
    """Drop what the build cache has and nothing else needs. Images of releases and of names stay."""
    scope = cache_scope(ctx.app(app)) if app else None
    if scope and not mounts:
        raise UsageError("The layers of the cache are shared by all apps", hint="Leave the app out, or add --mounts.")
    freed = 0
    if scope is None:
        done = ctx.platform.images.prune(budget=0)
        freed = done.size
        ctx.out.detail(f"{done.images} images, {done.layers} layers: {human_bytes(done.size)}")
    if mounts:
        size = ctx.platform.caches.prune(scope)
        freed += size
        ctx.out.detail(f"cache mounts: {human_bytes(size)}")
    people.record(ctx.platform.db, ctx.who, app or "", "builder:prune", human_bytes(freed))
    ctx.out.heading(f"Freed {human_bytes(freed)}")


@command(
    "docker-options:add",
    app_argument(),
    Argument("phase"),
    Argument("option", rest=True),
    examples=(
        "docker-options:add shop build --build-arg NODE_ENV=production",
        "docker-options:add shop build --build-arg COMMIT",
        "docker-options:add shop build --secret id=npm,env=NPM_TOKEN",
    ),
)
def add_option(ctx: Context, app: str, phase: str, option: list[str]) -> None:
    """Add an option to the builds of an app; it holds from the next build on.

    --build-arg NAME=VALUE, or NAME for the value of the config var of this name; --secret id=ID,env=CONFIGVAR for
    RUN --mount=type=secret; --target STAGE; --no-cache.
    """
    found = ctx.app(app)
    _build_phase(phase)
    added = ctx.platform.build_settings.add(found, _text(option))
    people.record(ctx.platform.db, ctx.who, found.name, "docker-options:add", _nameless(option))
    ctx.out.heading("Added to the build phase" if added else "It is there already")


@command(
    "docker-options:remove",
    app_argument(),
    Argument("phase"),
    Argument("option", rest=True),
    examples=("docker-options:remove shop build --build-arg NODE_ENV=production",),
)
def remove_option(ctx: Context, app: str, phase: str, option: list[str]) -> None:
    """Take an option away, written as it was added."""
    found = ctx.app(app)
    _build_phase(phase)
    ctx.platform.build_settings.remove(found, _text(option))
    people.record(ctx.platform.db, ctx.who, found.name, "docker-options:remove", _nameless(option))
    ctx.out.heading("Removed from the build phase")


@command(
    "docker-options:clear", app_argument(), Argument("phase", optional=True), examples=("docker-options:clear shop",)
)
def clear_options(ctx: Context, app: str, phase: str | None) -> None:
    """Take all options of an app away."""
    found = ctx.app(app)
    _build_phase(phase or "build")
    ctx.platform.build_settings.clear(found)
    people.record(ctx.platform.db, ctx.who, found.name, "docker-options:clear", "")
    ctx.out.heading("Cleared")


@command(
    "docker-options:report",
    FORMAT,
    app_argument(optional=True),
    effect="reads",
    examples=("docker-options:report shop",),
)
def report_options(ctx: Context, app: str | None, format: str | None) -> None:
    """Show the options of an app, or of all, as they were added."""
    found = [ctx.app(app)] if app else ctx.platform.apps.list()
    listed = ctx.platform.build_settings.listed
    show(
        ctx, "docker options", [(each.name, {"docker-options-build": " ".join(listed(each))}) for each in found], format
    )


def _text(option: list[str]) -> str:
    """One word is an option as it was typed, perhaps with a space in it; several are quoted where they have to be."""
    return option[0] if len(option) == 1 else shlex.join(option)


def _build_phase(phase: str) -> None:
    wanted = phase.split(",")
    unknown = [name for name in wanted if name not in _PHASES]
    if unknown:
        raise InvalidInput(f"{shown(unknown[0])} is not a phase", hint=f"Known: {', '.join(_PHASES)}")
    if wanted != ["build"]:
        raise InvalidInput(
            "Only the build phase takes options here",
            hint="For containers there are commands: storage:mount, ports:add, config:set, ps:scale.",
        )


def _nameless(option: list[str]) -> str:
    """An option without the value, which may be a secret."""
    return " ".join(option).split("=")[0] if "--secret" not in option[0] else " ".join(option)
