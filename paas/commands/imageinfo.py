"""history, inspect, system:df — what images are made of, and what everything takes."""

from __future__ import annotations

from datetime import UTC, datetime

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.commands.images import NO_TRUNC
from paas.image.config import to_oci
from paas.model import Image
from paas.names import printable
from paas.output import ago, decimal_bytes, to_json
from paas.state import releases
from paas.system.files import tree_size

_WIDTH = 45
"""Characters of a step that are shown, as Docker does it."""


@command(
    "history",
    NO_TRUNC,
    Flag("--quiet", "the ids alone", short="-q"),
    FORMAT,
    Argument("image"),
    admin=True,
    examples=("history wiki:2", "history --no-trunc debian:bookworm"),
    effect="reads",
)
def history(ctx: Context, image: str, no_trunc: bool, quiet: bool, format: str | None) -> None:
    """Show the steps that an image was made by, the last one first."""
    found = ctx.platform.images.find(image)
    entries = _history(found)
    if format == "json":
        ctx.out.line(to_json(entries))
        return
    if quiet:
        for entry in entries:
            ctx.out.line(str(entry["id"]) if no_trunc else _short(str(entry["id"])))
        return
    now = datetime.now(UTC)
    rows = []
    for entry in entries:
        step = printable(" ".join(str(entry["created_by"]).split()))
        if not no_trunc and len(step) > _WIDTH:
            step = step[: _WIDTH - 1] + "…"
        id = str(entry["id"]) if no_trunc else _short(str(entry["id"]))
        size = decimal_bytes(int(str(entry["size"])))
        rows.append((id, ago(str(entry["created"]), now), step, size, printable(str(entry["comment"]))))
    ctx.out.table(("IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"), rows)


def _history(image: Image) -> list[dict[str, object]]:
    """The newest first; only the last step has the image's id."""
    sizes = [layer.size for layer in image.layers]
    fits = sum(not entry.empty_layer for entry in image.history) == len(sizes)
    found: list[dict[str, object]] = []
    for entry in image.history:
        size = sizes.pop(0) if fits and not entry.empty_layer else 0
        texts = {"created": entry.created, "created_by": entry.created_by, "comment": entry.comment}
        found.insert(0, {"id": "<missing>", **texts, "size": size})
    if found:
        found[0]["id"] = image.id
    return found


def _short(id: str) -> str:
    return id.removeprefix("sha256:")[:12]


def description(ctx: Context, name: str) -> dict[str, object]:
    """All that is known of an image, in Docker's words. Raises NotFound."""
    return _inspected(ctx, ctx.platform.images.find(name), ctx.platform.images.origins.digests())


def _inspected(ctx: Context, image: Image, known: dict[str, set[str]]) -> dict[str, object]:
    store = ctx.platform.images
    return {
        "Id": image.id,
        "RepoTags": [name for name in store.names(image) if "@" not in name],
        "RepoDigests": sorted(known.get(image.id, ())),
        "Created": image.created,
        "Author": image.config.author,
        "Config": to_oci(image.config),
        "Architecture": image.architecture,
        "Os": "linux",
        "Size": image.size,
        "RootFS": {"Type": "layers", "Layers": [store.origins.diff_id(layer) or layer.id for layer in image.layers]},
    }


@command("system:df", FORMAT, needs="view", examples=("system:df",))
def disk_usage(ctx: Context, format: str | None) -> None:
    """Show how much disk images, containers, volumes and the build cache take, and what could be had back."""
    rows = _usage(ctx)
    if format == "json":
        keys = ("type", "total", "active", "size", "reclaimable")
        ctx.out.line(to_json([dict(zip(keys, row, strict=True)) for row in rows]))
        return
    shown = []
    for kind, total, active, size, free in rows:
        percent = f" ({free * 100 // size}%)" if size else ""
        shown.append((kind, str(total), str(active), decimal_bytes(size), decimal_bytes(free) + percent))
    ctx.out.table(("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"), shown)


def _usage(ctx: Context) -> list[tuple[str, int, int, int, int]]:
    """(type, total, active, bytes, bytes that nothing needs)."""
    platform = ctx.platform
    images = {entry.image.id: entry.image for entry in platform.images.list()}
    unused = {image.id for image in platform.images.unused()}
    layers = {layer.number: layer.size for image in images.values() for layer in image.layers}
    needed = {layer.number for id, image in images.items() if id not in unused for layer in image.layers}
    reclaimable = sum(size for number, size in layers.items() if number not in needed)
    places = list(platform.paths.containers.iterdir()) if platform.paths.containers.is_dir() else []
    running = {row.instance.id for row in releases.instances(platform.db)}
    sizes = {place.name: tree_size(place) for place in places}
    gone = sum(size for name, size in sizes.items() if name not in running)
    active = len(running & set(sizes))
    volumes = platform.containers.parts.volumes.every()
    volume_sizes = {volume.name: tree_size(volume.path) for volume in volumes}
    mounted = {volume.name for volume in volumes if volume.users}
    free = sum(size for name, size in volume_sizes.items() if name not in mounted)
    cache = platform.images.cache_usage()
    mounts = [size for _, size in platform.caches.usage()]
    return [
        ("Images", len(images), len(images) - len(unused), sum(layers.values()), reclaimable),
        ("Containers", len(sizes), active, sum(sizes.values()), gone),
        ("Local Volumes", len(volumes), len(mounted), sum(volume_sizes.values()), free),
        ("Build Cache", cache.entries, 0, cache.size, cache.reclaimable),
        ("Cache Mounts", len(mounts), 0, sum(mounts), sum(mounts)),
    ]
