"""save, load, import — images in files."""

from __future__ import annotations

from paas.build.changing import changed
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.commands.typed import input_file, output_file
from paas.image.archive import write_archives
from paas.image.reference import parse
from paas.model import DEFAULT_PATH, Image, ImageConfig
from paas.output import to_json
from paas.state import people


@command(
    "save",
    Flag("--output", "a file, relative to where this is typed", "FILE", short="-o"),
    Argument("image", many=True),
    admin=True,
    examples=("save -o wiki.tar wiki:2", "save wiki:2 >wiki.tar"),
)
def save(ctx: Context, image: list[str], output: str | None) -> None:
    """Write images as a tar that `docker load`, `podman load` and readers of OCI layouts take.

    Over ssh there is only the output: ssh paas@host save wiki >wiki.tar
    """
    parts: dict[str, tuple[Image, list[str]]] = {}
    store = ctx.platform.images
    with store.lease() as lease:
        for name in image:
            found = store.find(name)
            lease.add(*found.layers)
            _, names = parts.setdefault(found.id, (found, []))
            reference = "" if name.startswith("sha256:") else str(parse(name))
            if reference in store.names(found) and "@" not in reference and reference not in names:
                names.append(reference)
        with output_file(ctx, output) as stream:
            write_archives(store, list(parts.values()), stream)


@command(
    "load",
    Flag("--input", "a file, relative to where this is typed", "FILE", short="-i"),
    Flag("--quiet", "say nothing", short="-q"),
    FORMAT,
    admin=True,
    examples=("load <wiki.tar", "load -i wiki.tar"),
)
def load(ctx: Context, input: str | None, quiet: bool, format: str | None) -> None:
    """Take images from the input: a tar of `docker save`, or of an OCI layout, plain or compressed."""
    with input_file(ctx, input) as stream:
        done = ctx.platform.image_files.load(stream, ctx.hung_up.is_set)
    for image, names in done:
        people.record(ctx.platform.db, ctx.who, "", "load", " ".join([*names, image.short_id]))
    if format == "json":
        ctx.out.line(to_json([{"id": image.id, "references": names} for image, names in done]))
    elif not quiet:
        for image, names in done:
            for name in names:
                ctx.out.line(f"Loaded image: {name}")
            if not names:
                ctx.out.line(f"Loaded image ID: {image.id}")
                ctx.out.warn(f"It has no name and goes with the next build; keep it: paas tag {image.short_id} NAME")


@command(
    "import",
    Flag("--message", "the comment in its history", "TEXT", short="-m"),
    Flag("--change", "a line of a Dockerfile that changes the config: CMD, ENV ...", "LINE", short="-c", many=True),
    Argument("file"),
    Argument("name", optional=True),
    admin=True,
    examples=(
        "import root.tar.xz mydebian:12",
        "import -c 'CMD [\"bash\"]' - mydebian:12 <root.tar",
    ),
)
def import_root(ctx: Context, file: str, name: str | None, message: str | None, change: list[str]) -> None:
    """Make an image of one layer from the tar of a root file system; `-` is the input. Prints its id."""
    reference = str(parse(name)) if name else None
    config = changed(ImageConfig(env={"PATH": DEFAULT_PATH}), change)
    with input_file(ctx, file) as stream:
        comment = message or f"Imported from {file}"
        image = ctx.platform.image_files.take_root(stream, config, reference, comment, ctx.hung_up.is_set)
    people.record(ctx.platform.db, ctx.who, "", "import", f"{reference or ''} {image.short_id}".strip())
    ctx.out.line(image.id)
