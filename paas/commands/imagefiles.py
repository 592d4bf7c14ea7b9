"""save, load, import — images in files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import FORMAT, Argument, Flag
from paas.errors import InvalidInput, UsageError
from paas.image.archive import write_archives
from paas.image.reference import parse
from paas.model import Image
from paas.names import shown
from paas.output import Hangup, to_json
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
        with _output(ctx, output) as stream:
            write_archives(store, list(parts.values()), stream)


@contextmanager
def _output(ctx: Context, name: str | None) -> Iterator[IO[bytes]]:
    """Where to write; a file is whole or not there."""
    if name is None:
        if os.isatty(ctx.stdout):
            raise UsageError("An image is not written to a terminal", hint="Use -o FILE, or redirect the output.")
        try:
            with os.fdopen(os.dup(ctx.stdout), "wb") as stream:
                yield stream
        except BrokenPipeError:
            raise Hangup from None
        return
    directory = _directory(ctx)
    temporary = f"{name}.{secrets.token_hex(4)}"
    try:
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError as error:
        raise InvalidInput(f"{shown(name)} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(opened, "wb") as stream:
            yield stream
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException as error:
        os.unlink(temporary, dir_fd=directory)
        if isinstance(error, OSError):
            raise InvalidInput(f"{shown(name)} cannot be written: {error.strerror}") from None
        raise


@contextmanager
def _input(ctx: Context, name: str | None) -> Iterator[IO[bytes]]:
    if name is None or name == "-":
        if os.isatty(ctx.stdin):
            raise UsageError("There is no archive in the input", hint="Redirect a file into it: <FILE")
        with os.fdopen(os.dup(ctx.stdin), "rb") as stream:
            yield stream
        return
    try:
        opened = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=_directory(ctx))
    except OSError as error:
        raise InvalidInput(f"{shown(name)} cannot be read: {error.strerror}") from None
    with os.fdopen(opened, "rb") as stream:
        yield stream


def _directory(ctx: Context) -> int:
    if ctx.directory is None:
        raise UsageError("Files can be named only on the host itself", hint="Use the input and the output over ssh.")
    return ctx.directory


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
    with _input(ctx, input) as stream:
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
    Argument("file"),
    Argument("name", optional=True),
    admin=True,
    examples=("import root.tar.xz mydebian:12", "import - mydebian:12 <root.tar"),
)
def import_root(ctx: Context, file: str, name: str | None, message: str | None) -> None:
    """Make an image of one layer from the tar of a root file system; `-` is the input. Prints its id."""
    reference = str(parse(name)) if name else None
    with _input(ctx, file) as stream:
        comment = message or f"Imported from {file}"
        image = ctx.platform.image_files.take_root(stream, reference, comment, ctx.hung_up.is_set)
    people.record(ctx.platform.db, ctx.who, "", "import", f"{reference or ''} {image.short_id}".strip())
    ctx.out.line(image.id)
