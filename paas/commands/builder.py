"""builder:*, builder-dockerfile:* — how apps are built."""

from __future__ import annotations

from paas.apps.build_settings import OTHER_BUILDERS, cache_scope, declared
from paas.commands.catalog import CATALOG, command
from paas.commands.context import Context
from paas.commands.declare import Flag, app_argument
from paas.commands.properties import define
from paas.commands.report import Report
from paas.errors import UsageError
from paas.output import human_bytes
from paas.settings import Settings
from paas.state import people

_KEYS = declared(Settings())

CATALOG.absent |= {
    f"builder-{name}": "Apps are built from a Dockerfile (builder-dockerfile:set) or by buildpacks (buildpacks:set)."
    for name in OTHER_BUILDERS
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
