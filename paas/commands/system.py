"""system:* — whether what is stored is whole, copies of the database, and room on the disk."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.errors import Conflict, SystemFailure
from paas.integrity.finding import Asked
from paas.integrity.report import report
from paas.output import human_bytes, to_json
from paas.state import people


@command(
    "system:check",
    Flag("--repair", "mend what can be derived, fetched or made again"),
    FORMAT,
    admin=True,
    effect="acts",
    shows_without="repair",
    examples=("system:check", "system:check --repair", "system:check --format json"),
)
def check(ctx: Context, repair: bool, format: str | None) -> int:
    """Look whether all that is stored is as it was stored.

    That is the database and its secrets, images, repositories, certificates, host keys, logins, and what nginx and the
    network have been told. Every file of every layer is read. What is found is told with what can be done about it;
    the status is 1 while something is left to do. `paas system:check` works on the host while no engine runs, too.
    """
    if repair:
        people.record(ctx.platform.db, ctx.who, "", "system:check", "repair")
    return report(ctx.platform.integrity.check(Asked(repair, ctx.hung_up.is_set)), ctx.out, json=format == "json")


@command(
    "system:backups",
    Flag("--make", "make one now"),
    FORMAT,
    admin=True,
    effect="acts",
    shows_without="make",
    examples=("system:backups", "system:backups --make"),
)
def backups(ctx: Context, make: bool, format: str | None) -> None:
    """List the copies of the database: one a day, and one from before every change of its schema; few are kept.

    They lie in `backups` of the data directory. A copy for another place needs `paas.key` as well: without it config
    vars cannot be read.
    """
    if make:
        made = ctx.platform.backups.make(ctx.platform.db.path, "asked")
        people.record(ctx.platform.db, ctx.who, "", "system:backups", made.name)
    found = ctx.platform.backups.listing()
    if format == "json":
        keys = ("number", "made", "reason", "schema", "size", "name")
        ctx.out.line(to_json([{key: getattr(backup, key) for key in keys} for backup in found]))
        return
    rows = [(str(b.number), b.made, b.reason, str(b.schema), human_bytes(b.size)) for b in found]
    ctx.out.table(("NUMBER", "MADE", "REASON", "SCHEMA", "SIZE"), rows)


@command("system:restore", Argument("number"), admin=True, examples=("system:restore 12",))
def restore(ctx: Context, number: str) -> None:
    """Put a copy in the place of the database. It is done on the host, while no engine runs.

    The database of before is kept beside it, and layers and containers that are newer than the copy in `set-aside`.
    """
    backup = ctx.platform.backups.find(number)
    raise Conflict(
        "The engine is running, and has the database open",
        hint=f"On the host: systemctl stop paas; paas system:restore {backup.number}; systemctl start paas",
    )


@command(
    "system:prune",
    Flag("--all", "also images that have a name, but no release, and cache mounts of builds", short="-a"),
    Flag("--force", "do not ask", short="-f"),
    admin=True,
    examples=("system:prune --force", "system:prune -a --force"),
)
def prune(ctx: Context, all: bool, force: bool) -> None:
    """Make room: remove the build cache, images that have neither a name nor a release, and interrupted downloads.

    Buildpacks that were fetched go as well when no app uses them any more, and in the repositories of apps what neither
    a branch nor a release has had for a day. Containers and volumes stay: rm and volume:prune remove those.
    """
    ctx.confirm("prune", "This removes all that can be built or pulled again, and that nothing needs now.", force)
    platform = ctx.platform
    freed = platform.registries.forget_interrupted()
    if all:
        for image in platform.images.unused():
            try:
                freed += sum(layer.size for layer in platform.images.remove(image, untag=True))
            except Conflict:
                continue  # something began to use it
        freed += platform.caches.prune(None)
    freed += platform.images.prune(budget=0).size
    freed += platform.remote_packs.prune()
    for app in platform.apps.list():
        try:
            before, after = platform.repositories.collect(app)
            freed += max(0, before - after)
        except SystemFailure as error:  # packing needs some room itself
            ctx.out.warn(f"The repository of {app.name} was not packed: {error.message}")
    people.record(platform.db, ctx.who, "", "system:prune", human_bytes(freed))
    ctx.out.heading(f"Freed {human_bytes(freed)}")
