"""diff, commit, cp — the files of a container."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.commands.typed import output_file
from paas.containers import lookup
from paas.containers.copying import Place, copy, extract, pack
from paas.errors import InvalidInput, UsageError
from paas.image import reference
from paas.output import Hangup
from paas.state import people


@command("diff", Argument("container"), page="containers", needs="view", examples=("diff shop-db",))
def diff(ctx: Context, container: str) -> None:
    """Show what a container has changed of its image's files: A added, C changed, D deleted."""
    found = lookup.find(ctx.platform.db, container)
    for kind, path in ctx.platform.container_files.diff(found):
        ctx.out.line(f"{kind} {path}")


@command(
    "commit",
    Flag("--message", "a note for the image's history", "TEXT", short="-m"),
    Flag("--author", "who made it", "TEXT", short="-a"),
    Flag("--change", "a line of a Dockerfile that changes the config: CMD, ENV ...", "LINE", short="-c", many=True),
    Argument("container"),
    Argument("image", optional=True),
    admin=True,
    page="containers",
    examples=("commit shop-db shop-db:patched", "commit -c 'ENV DEBUG=1' -c 'CMD [\"serve\"]' shop-db shop-db:debug"),
)
def commit(
    ctx: Context, container: str, image: str | None, message: str | None, author: str | None, change: list[str]
) -> None:
    """Make an image of a container's files as they are now, with its command and variables; prints its id.

    What is in mounted directories is not part of it. A container of its own is paused meanwhile.
    """
    name = str(reference.parse(image)) if image else ""
    found = lookup.find(ctx.platform.db, container)
    made = ctx.platform.container_files.commit(found, name, change, message or "", author or "")
    people.record(ctx.platform.db, ctx.who, found.app or "", "container commit", f"{found.name} {name}".strip())
    ctx.out.line(made.id)


@command(
    "export",
    Flag("--output", "a file, relative to where this is typed", "FILE", short="-o"),
    Argument("container"),
    admin=True,
    page="containers",
    examples=("export shop-db >shop-db.tar", "export -o shop-db.tar shop-db"),
)
def export(ctx: Context, container: str, output: str | None) -> None:
    """Write all files of a container as a tar; `import` makes an image of it. What is in volumes is not part of it."""
    found = lookup.find(ctx.platform.db, container)
    with output_file(ctx, output) as stream:
        ctx.platform.container_files.export(found, stream)
    people.record(ctx.platform.db, ctx.who, found.app or "", "container export", found.name)


@command(
    "cp",
    Flag("--archive", "keep owners; else they are root, on either side", short="-a"),
    Argument("source"),
    Argument("target"),
    admin=True,
    page="containers",
    examples=(
        "cp shop-db:/etc/shop.conf .",
        "cp shop.conf shop-db:/etc/",
        "cp shop-db:/data - >data.tar",
        "cp - shop-db:/data <data.tar",
    ),
)
def cp(ctx: Context, source: str, target: str, archive: bool) -> None:
    """Copy files out of a container (CONTAINER:PATH) or into one.

    `-` is a tar archive, from the input or to the output. A file or directory is copied into the target if that is a
    directory, else under its name; DIRECTORY/. stands for a directory's content. Over ssh there is only `-`: paths of
    the host are for its root.
    """
    inward, outward = _container(target), _container(source)
    if (inward is None) == (outward is None):
        raise UsageError(
            "One of the two has to be CONTAINER:PATH", hint="Examples: cp NAME:/etc/hosts - ; cp . NAME:/srv"
        )
    name, path = inward or outward or ("", "")
    found = lookup.find(ctx.platform.db, name)
    with ctx.platform.container_files.root(found) as (root, base):
        inside = Place(root, path, base)
        if outward is not None and target == "-":
            _send(ctx, inside)
        elif inward is not None and source == "-":
            with os.fdopen(os.dup(ctx.stdin), "rb") as stream:
                extract(stream, inside)
        elif outward is not None:
            with _host(ctx, target) as outside:
                copy(inside, outside, keep_owners=archive)
        else:
            with _host(ctx, source) as outside:
                copy(outside, inside, keep_owners=archive)
    verb = "container read" if outward is not None else "container write"
    people.record(ctx.platform.db, ctx.who, found.app or "", verb, f"{found.name} {path}")


def _container(word: str) -> tuple[str, str] | None:
    """(name, path) of CONTAINER:PATH. A word that begins like a path is one of the host."""
    name, colon, path = word.partition(":")
    if not colon or word.startswith(("/", ".")) or "/" in name:
        return None
    return name, path or "/"


def _send(ctx: Context, inside: Place) -> None:
    if ctx.tty:
        raise UsageError("An archive is not for a terminal", hint="Send it to a file: ... - >FILE.tar")
    try:
        with os.fdopen(os.dup(ctx.stdout), "wb") as stream:
            pack(inside, stream)
    except OSError as error:
        raise Hangup from error


@contextmanager
def _host(ctx: Context, path: str) -> Iterator[Place]:
    """A path of the host, relative to where the command was typed."""
    if ctx.directory is None:
        raise InvalidInput(
            "Paths of the host can be used only there",
            hint="Over ssh: cp NAME:PATH - >FILE.tar, or - NAME:PATH <FILE.tar",
        )
    here = str(Path(f"/proc/self/fd/{ctx.directory}").readlink())
    whole = path if path.startswith("/") else f"{here}/{path}"
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Place(root, whole)
    finally:
        os.close(root)
