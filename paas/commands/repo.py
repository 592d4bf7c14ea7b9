"""repo:* — upkeep of an app's repository and of what its builds keep."""

from __future__ import annotations

from paas.apps.build_settings import cache_scope
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import app_argument
from paas.output import human_bytes
from paas.state import people


@command("repo:gc", app_argument(), examples=("repo:gc wiki",))
def gc(ctx: Context, app: str) -> None:
    """Pack an app's repository, and drop what neither a branch nor a release has had for a day.

    Pushes may go on meanwhile.
    """
    found = ctx.app(app)
    ctx.out.heading(f"Packing the repository of {found.name}")
    before, after = ctx.platform.repositories.collect(found)
    people.record(ctx.platform.db, ctx.who, found.name, "repo:gc", f"{before} {after}")
    ctx.out.detail(f"{human_bytes(before)} before, {human_bytes(after)} now")


@command("repo:purge-cache", app_argument(), examples=("repo:purge-cache wiki",))
def purge_cache(ctx: Context, app: str) -> None:
    """Drop what RUN --mount=type=cache has kept for an app; the next build begins with empty caches."""
    found = ctx.app(app)
    freed = ctx.platform.caches.prune(cache_scope(found))
    people.record(ctx.platform.db, ctx.who, found.name, "repo:purge-cache", human_bytes(freed))
    ctx.out.heading(f"Freed {human_bytes(freed)}")
