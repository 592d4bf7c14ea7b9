"""volume:* — directories that outlive containers."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.commands.filters import filter_flag, is_yes, passed
from paas.commands.formats import FORMAT, Format, Row, parse_format, show
from paas.commands.many import each
from paas.containers.volumes import Volume, VolumeName
from paas.output import decimal_bytes, to_json
from paas.state import people
from paas.system.files import tree_size

_HEADINGS = {"Driver": "DRIVER", "Name": "VOLUME NAME", "Mountpoint": "MOUNTPOINT", "Scope": "SCOPE"}


@command(
    "volume:ls",
    Flag("--quiet", "names alone", short="-q"),
    filter_flag(("dangling", "name")),
    FORMAT,
    aliases=("volume:list", "volumes"),
    examples=("volume:ls", "volume:ls -q -f dangling=true"),
    effect="reads",
)
def list_volumes(ctx: Context, quiet: bool, filter: list[tuple[str, str]], format: Format | None) -> None:
    """List the volumes of containers and apps. Those that nobody uses are dangling."""
    tests = {
        "dangling": lambda volume, text: is_yes(text) != bool(volume.users),
        "name": lambda volume, text: text in volume.name,
    }
    found: list[Volume] = passed(ctx.platform.containers.parts.volumes.every(), filter, tests)
    if quiet and format is None:
        for volume in found:
            ctx.out.line(volume.name)
        return
    rows: list[Row] = [
        {"Driver": "local", "Name": volume.name, "Mountpoint": str(volume.path), "Scope": "local"} for volume in found
    ]
    show(ctx, format, _HEADINGS, ("Driver", "Name"), rows, lambda: [_inspected(volume) for volume in found])


def _inspected(volume: Volume) -> dict[str, object]:
    return {
        "Name": volume.name,
        "Driver": "local",
        "Mountpoint": str(volume.path),
        "Scope": "local",
        "UsedBy": list(volume.users),
    }


@command(
    "volume:create",
    Argument("name", VolumeName, optional=True),
    admin=True,
    examples=("volume:create shop-db",),
)
def create(ctx: Context, name: VolumeName | None) -> None:
    """Make a volume, with a name of 64 digits unless one is given; one that is there already stays as it is.

    `run -v NAME:/path` makes it too. While it is empty, the first container fills it with what its image has there.
    """
    volume = ctx.platform.containers.parts.volumes.create(name)
    people.record(ctx.platform.db, ctx.who, "", "volume:create", volume.name)
    ctx.out.line(volume.name)


@command(
    "volume:inspect",
    Flag("--format", "json, or a template: '{{.Mountpoint}}'", "FORMAT", parse=parse_format, short="-f"),
    Argument("volume", many=True),
    admin=True,
    examples=("volume:inspect shop-db", "volume:inspect -f '{{.Mountpoint}}' shop-db"),
    effect="reads",
)
def inspect(ctx: Context, volume: list[str], format: Format | None) -> None:
    """Show where volumes lie on this host, and who uses them."""
    found = [_inspected(ctx.platform.containers.parts.volumes.get(name)) for name in volume]
    if format is None or format.template is None:
        ctx.out.line(to_json(found))
        return
    for description in found:
        ctx.out.line(format.template.render(description))


@command(
    "volume:rm",
    Argument("volume", many=True),
    admin=True,
    aliases=("volume:remove",),
    examples=("volume:rm shop-db",),
)
def remove(ctx: Context, volume: list[str]) -> int:
    """Remove volumes with all that is in them. Refused while a container (even a stopped one) or an app uses them."""

    def act(name: str) -> None:
        ctx.platform.containers.parts.volumes.remove(name)
        people.record(ctx.platform.db, ctx.who, "", "volume:rm", name)

    return each(ctx, volume, act)


@command(
    "volume:prune",
    Flag("--all", "also those that have a name", short="-a"),
    Flag("--force", "do not ask", short="-f"),
    admin=True,
    examples=("volume:prune --force", "volume:prune -a --force"),
)
def prune(ctx: Context, all: bool, force: bool) -> None:
    """Remove the volumes that neither a container nor an app uses: those without a name, unless all are meant."""
    volumes = ctx.platform.containers.parts.volumes
    which = "all" if all else "unnamed"
    ctx.confirm(which, f"This removes {which} volumes that nobody uses, with all that is in them.", force)
    sizes = {volume.name: tree_size(volume.path) for volume in volumes.every() if not volume.users}
    freed = 0
    for volume in volumes.prune(all=all):
        people.record(ctx.platform.db, ctx.who, "", "volume:rm", volume.name)
        ctx.out.line(f"Deleted: {volume.name}")
        freed += sizes.get(volume.name, 0)
    ctx.out.line(f"Total reclaimed space: {decimal_bytes(freed)}")
