"""images:*, tag, rmi — the image store."""

from __future__ import annotations

from fnmatch import fnmatchcase

from paas.commands import formats
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORCE, Argument, Flag
from paas.commands.filters import filter_flag, has_label, is_yes, passed
from paas.errors import Conflict, InvalidInput, NotFound
from paas.image.bootstrap import bootstrap as make_base
from paas.image.reference import parse
from paas.image.store import TaggedImage
from paas.model import Image
from paas.output import ago, decimal_bytes
from paas.state import people

NO_TRUNC = Flag("--no-trunc", "whole ids and texts")


_HEADINGS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
}


@command(
    "images:list",
    Flag("--all", "also images without a name, which releases have", short="-a"),
    Flag("--quiet", "the ids alone", short="-q"),
    Flag("--digests", "also the digests that the images have in their registries"),
    NO_TRUNC,
    filter_flag(("dangling", "label", "reference")),
    formats.FORMAT,
    Argument("name", optional=True),
    aliases=("images", "image:ls"),
    needs="view",
    examples=(
        "images:list",
        "images:list -a",
        "images:list -q debian",
        "images:list -f reference='shop*' --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
    ),
)
def list_images(
    ctx: Context,
    name: str | None,
    all: bool,
    quiet: bool,
    digests: bool,
    no_trunc: bool,
    filter: list[tuple[str, str]],
    format: formats.Format | None,
) -> None:
    """List the images, those of one NAME or NAME:TAG, or all that have a name.

    A filter by reference is a pattern of a shell for the repository, or for repository and tag.
    """
    every = all or any(key == "dangling" for key, _ in filter)
    entries = (each for each in ctx.platform.images.list() if (every or each.reference) and _is_called(each, name))
    found = passed(entries, filter, {"dangling": _is_dangling, "label": _has_label, "reference": _is_like})
    if quiet and format is None:
        for id in dict.fromkeys(entry.image.id if no_trunc else entry.image.short_id for entry in found):
            ctx.out.line(id)
        return
    known = ctx.platform.images.origins.digests()
    columns = ("Repository", "Tag", *(("Digest",) if digests else ()), "ID", "CreatedSince", "Size")
    rows = [_row(entry, known.get(entry.image.id, set()), no_trunc) for entry in found]
    formats.show(ctx, format, _HEADINGS, columns, rows, lambda: [_as_json(entry) for entry in found])


def _row(entry: TaggedImage, digests: set[str], no_trunc: bool) -> formats.Row:
    repository, tag, digest = _parts(entry, digests)
    return {
        "Repository": repository,
        "Tag": tag,
        "Digest": digest,
        "ID": entry.image.id if no_trunc else entry.image.short_id,
        "CreatedSince": ago(entry.image.created),
        "CreatedAt": entry.image.created,
        "Size": decimal_bytes(entry.image.size),
    }


def _is_dangling(entry: TaggedImage, text: str) -> bool:
    return is_yes(text) == (entry.reference is None)


def _has_label(entry: TaggedImage, wanted: str) -> bool:
    return has_label(entry.image.config.labels, wanted)


def _is_like(entry: TaggedImage, pattern: str) -> bool:
    if entry.reference is None:
        return False
    repository = entry.reference.partition("@")[0] if "@" in entry.reference else entry.reference.rpartition(":")[0]
    return fnmatchcase(entry.reference, pattern) or fnmatchcase(repository, pattern)


def _is_called(entry: TaggedImage, name: str | None) -> bool:
    if name is None:
        return True
    if entry.reference is None:
        return False
    mine, wanted = parse(entry.reference), parse(name)
    has_tag = ":" in name.rpartition("/")[2]
    return (mine.registry, mine.name) == (wanted.registry, wanted.name) and (not has_tag or mine.tag == wanted.tag)


def _parts(entry: TaggedImage, digests: set[str]) -> tuple[str, str, str]:
    """REPOSITORY, TAG and DIGEST."""
    if entry.reference is None:
        return "<none>", "<none>", "<none>"
    reference = parse(entry.reference)
    if reference.digest:
        return entry.reference.partition("@")[0], "<none>", reference.digest
    repository = entry.reference.rpartition(":")[0]
    known = [each.partition("@")[2] for each in sorted(digests) if each.partition("@")[0] == repository]
    return repository, reference.tag, known[0] if known else "<none>"


def _as_json(entry: TaggedImage) -> dict[str, object]:
    image = entry.image
    return {"reference": entry.reference, "id": image.id, "created": image.created, "size": image.size}


@command(
    "images:bootstrap",
    FORCE,
    Argument("distribution"),
    admin=True,
    examples=("images:bootstrap debian:bookworm",),
)
def bootstrap(ctx: Context, distribution: str, force: bool) -> None:
    """Make a base image from a distribution's packages, without any registry.

    Known are debian and ubuntu, with a suite: debian:bookworm. An image that is there already stays, unless --force.
    """
    make_base(ctx.platform.images, distribution, ctx.out, force=force, cancelled=ctx.hung_up.is_set)


@command(
    "tag",
    Argument("source"),
    Argument("target"),
    admin=True,
    examples=("tag wiki registry.example.com/team/wiki:2",),
)
def tag(ctx: Context, source: str, target: str) -> None:
    """Give an image another name; a name that another image has moves."""
    image = ctx.platform.images.find(source)
    if parse(target).digest:
        raise InvalidInput("A tag is NAME[:TAG]; a digest follows from what an image is")
    ctx.platform.images.tag(target, image.id)
    people.record(ctx.platform.db, ctx.who, "", "tag", f"{parse(target)} {image.short_id}")


@command(
    "rmi",
    Flag("--force", "also images that have several names", short="-f"),
    Argument("image", many=True),
    admin=True,
    aliases=("image:rm",),
    examples=("rmi wiki:2", "rmi 0123456789ab"),
)
def remove(ctx: Context, image: list[str], force: bool) -> None:
    """Remove names, and images with their last name; an id stands for the image with its name.

    Refused while a release, a build, or (for an id) another name uses the image.
    """
    failed: Conflict | NotFound | None = None
    for name in image:
        try:
            _remove(ctx, name, force)
        except (Conflict, NotFound) as error:  # the others go all the same, as docker rmi does it
            if failed is not None:
                ctx.out.warn(failed.message)
            failed = error
    if failed is not None:
        raise failed


def _remove(ctx: Context, name: str, force: bool) -> None:
    store = ctx.platform.images
    found = store.find(name)
    names = list(store.names(found))
    reference = str(parse(name)) if not name.startswith("sha256:") else name
    if reference in names:
        if len(names) > 1 and not force:
            store.untag(reference)
            ctx.out.line(f"Untagged: {reference}")
            people.record(ctx.platform.db, ctx.who, "", "rmi", reference)
            return
    elif len(names) > 1 and not force:
        raise Conflict(
            f"The image {found.short_id} is used by several names: {', '.join(names)}",
            hint="Remove them by their names, or add --force.",
        )
    delete(ctx, found)
    people.record(ctx.platform.db, ctx.who, "", "rmi", f"{reference} {found.short_id}")


def delete(ctx: Context, image: Image) -> int:
    """Remove an image with its names, and say so in Docker's words; returns the bytes of the layers that went."""
    store = ctx.platform.images
    names, digests = store.names(image), store.origins.digests().get(image.id, set())
    layers = store.remove(image, untag=True)
    for each in [*names, *sorted(digests - set(names))]:
        ctx.out.line(f"Untagged: {each}")
    for id in [image.id, *(layer.id for layer in reversed(layers))]:
        ctx.out.line(f"Deleted: {id}")
    return sum(layer.size for layer in layers)


@command(
    "images:prune",
    Flag("--all", "also images that have a name, but no release", short="-a"),
    Flag("--force", "do not ask", short="-f"),
    admin=True,
    aliases=("image:prune",),
    examples=("images:prune", "images:prune -a --force"),
)
def prune(ctx: Context, all: bool, force: bool) -> None:
    """Remove images that have no name and no release, and what interrupted pulls have left; the build cache stays."""
    freed = 0
    if all:
        ctx.confirm("all", "This removes all images without a release, with their names.", force)
        for image in ctx.platform.images.unused():
            try:
                freed += delete(ctx, image)
            except (Conflict, NotFound):
                continue  # something began to use it, or it is gone
    done = ctx.platform.images.prune()
    freed += done.size + ctx.platform.registries.forget_interrupted()
    people.record(ctx.platform.db, ctx.who, "", "images:prune", decimal_bytes(freed))
    ctx.out.line(f"Total reclaimed space: {decimal_bytes(freed)}")
