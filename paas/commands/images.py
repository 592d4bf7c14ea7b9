"""images:* — the image store."""

from __future__ import annotations

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORCE, FORMAT, Argument
from paas.image.bootstrap import bootstrap as make_base
from paas.output import human_bytes, table, to_json


@command("images:list", FORMAT, aliases=("images",), examples=("images:list",))
def list_images(ctx: Context, format: str | None) -> None:
    """List the images that have a name."""
    found = [entry for entry in ctx.platform.images.list() if entry.reference]
    if format == "json":
        ctx.out.line(
            to_json(
                [
                    {
                        "reference": entry.reference,
                        "id": entry.image.id,
                        "created": entry.image.created,
                        "size": entry.image.size,
                    }
                    for entry in found
                ]
            )
        )
        return
    rows = []
    for entry in found:
        name, _, tag = (entry.reference or "").rpartition(":")
        rows.append((name, tag, entry.image.short_id, entry.image.created, human_bytes(entry.image.size)))
    for line in table(("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"), rows):
        ctx.out.line(line)


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
