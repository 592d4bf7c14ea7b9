"""storage:* — directories that outlive containers."""

from __future__ import annotations

from paas.apps.access import Role
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, app_argument
from paas.errors import Denied
from paas.model import Mount
from paas.output import to_json

_MOUNT = Argument("source:target")


@command(
    "storage:mount",
    app_argument(),
    _MOUNT,
    examples=("storage:mount wiki wiki-pages:/var/lib/dokuwiki/data", "storage:mount wiki /srv/photos:/photos:ro"),
)
def mount(ctx: Context, app: str, **words: str) -> None:
    """Mount a directory into the containers of an app.

    A plain name is a directory that paas keeps and makes when needed; a path is a directory of the host (admin keys).
    """
    storage = ctx.platform.storage
    entry = storage.parse(words["source:target"], ctx.who)
    _refuse_others(ctx, entry)
    why = f"Mount {entry}"
    ctx.platform.changes.mounts(app, lambda found: storage.with_added(found, entry), why, ctx.request())
    ctx.out.heading(f"Mounted {entry}")


@command(
    "storage:unmount", app_argument(), _MOUNT, examples=("storage:unmount wiki wiki-pages:/var/lib/dokuwiki/data",)
)
def unmount(ctx: Context, app: str, **words: str) -> None:
    """Stop mounting a directory into an app. The directory itself stays."""
    storage = ctx.platform.storage
    entry = storage.parse(words["source:target"], ctx.who)
    why = f"Unmount {entry}"
    ctx.platform.changes.mounts(app, lambda found: storage.without(found, entry), why, ctx.request())
    ctx.out.heading(f"Unmounted {entry}")


@command("storage:list", FORMAT, app_argument(), needs="view", examples=("storage:list wiki",))
def list_mounts(ctx: Context, app: str, format: str | None) -> None:
    """List the directories mounted into an app."""
    found = ctx.app(app)
    mounts = ctx.platform.storage.of(found)
    if format == "json":
        entries = [{"source": str(m.source), "target": m.target, "read_only": m.read_only} for m in mounts]
        ctx.out.line(to_json(entries))
        return
    ctx.out.heading(f"{found.name} volume bind-mounts:")
    for entry in mounts:
        ctx.out.detail(str(entry))


def _refuse_others(ctx: Context, entry: Mount) -> None:
    """Who does not deploy all apps may mount a new directory, or what an app of theirs has; no others' data."""
    kept = ctx.platform.paths.storage
    if ctx.grants.everywhere_at_least(Role.DEPLOY) or not entry.source.is_relative_to(kept):
        return
    top = kept / entry.source.relative_to(kept).parts[0]
    known = [mount.source for app in ctx.platform.apps.list() for mount in ctx.platform.storage.of(app)]
    if top.exists() and not any(entry.source.is_relative_to(source) for source in known):
        raise Denied(
            f"Access denied: {top.name} exists, and no app that {ctx.who.name} deploys has it mounted",
            hint="Choose another name, or ask an admin to mount it.",
        )
