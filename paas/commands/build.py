"""`paas build`: an image from a directory, an archive or a Dockerfile alone."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from paas.build.options import BuildOptions
from paas.build.progress import STYLES, Style
from paas.commands.catalog import command
from paas.commands.context import Context
from paas.commands.declare import Argument, Flag
from paas.errors import InvalidInput, UsageError
from paas.image import reference
from paas.image.decompress import compression, decompressed, looks_like_tar, peek
from paas.image.unpack import Limits, unpack
from paas.names import shown
from paas.output import Discard
from paas.source.directory import DirectoryTree
from paas.source.entry import Tree
from paas.state import people
from paas.system.files import ensure_directory, remove_tree
from paas.system.inroot import read_in_root

_DOCKERFILE_LIMIT = 1 << 20
_SECRET_LIMIT = 500 << 10
"""Bytes of the largest secret, as BuildKit has it."""


@command(
    "build",
    Flag("--tag", "name of the image", "NAME[:TAG]", short="-t", many=True),
    Flag("--file", "the Dockerfile (default: Dockerfile at the top of PATH)", "FILE", short="-f"),
    Flag("--target", "the stage to build (default: the last)", "STAGE"),
    Flag("--build-arg", "value of an ARG; without one, that of the variable of this name", "NAME[=VALUE]", many=True),
    Flag("--secret", "for RUN --mount=type=secret: id=ID,src=FILE or id=ID,env=VARIABLE", "SECRET", many=True),
    Flag("--ssh", "for RUN --mount=type=ssh: an agent's socket (default: SSH_AUTH_SOCK)", "ID[=SOCKET]", many=True),
    Flag("--label", "label of the image", "KEY=VALUE", many=True),
    Flag("--no-cache", "carry every step out anew"),
    Flag("--pull", "take a newer base image where its registry has one"),
    Flag("--progress", "plain, tty or json (default: tty on a terminal)", "STYLE"),
    Flag("--quiet", "say nothing but the image's id; builds:output shows the rest", short="-q"),
    Argument("path"),
    admin=True,
    examples=(
        "build -t wiki .",
        "build -t shop:2 -f deploy/Dockerfile --build-arg VERSION=2 ~/shop",
        "build -t wiki - <context.tar.gz",
    ),
)
def build(
    ctx: Context, path: str, tag: list[str], progress: str | None, pull: bool, quiet: bool, **flags: object
) -> None:
    """Build an image from a directory on the host; `-` takes an archive, or a Dockerfile alone, from the input.

    Over ssh there is only `-`: tar -c . | ssh paas@host build -t wiki -
    """
    names = [str(reference.parse(name)) for name in tag]
    style = _style(progress, ctx)
    builder = ctx.platform.build_settings
    options = BuildOptions(
        target=str(flags["target"] or ""),
        arguments=_arguments(ctx, cast(list[str], flags["build_arg"])),
        secrets=_secrets(ctx, cast(list[str], flags["secret"])),
        agents=_agents(ctx, cast(list[str], flags["ssh"])),
        labels=dict(_pair(label, "--label") for label in cast(list[str], flags["label"])),
        proxies=builder.proxies(None),
        use_cache=not flags["no_cache"],
        pull=pull,
        trust_host_ca=ctx.platform.properties.value("builder", "trust-host-ca", None),
        limits=builder.limits(None),
        is_plain=True,
    )
    file = cast(str | None, flags["file"])
    builds = ctx.platform.builds
    with _context(ctx, path, file, options) as (tree, complete):
        request = replace(ctx.request(), out=Discard()) if quiet else ctx.request()
        with builds.record(None, names[0] if names else path, path, request) as running:
            image = builds.image(running, tree, complete, style=style, noun="the build context")
            for name in names:
                ctx.platform.images.tag(name, image.id)
    people.record(ctx.platform.db, ctx.who, "", "build", f"{' '.join(names)} {image.short_id}".strip())
    if quiet:
        ctx.out.line(image.id)
    elif style != "json":
        for name in names:
            ctx.out.line(f"Tagged {name}")


@contextmanager
def _context(ctx: Context, path: str, file: str | None, options: BuildOptions) -> Iterator[tuple[Tree, BuildOptions]]:
    """The tree to build from, and the options with the Dockerfile in them."""
    if path == "-":
        with _from_input(ctx, options) as (tree, text):
            yield (
                tree,
                replace(options, text=text) if text is not None else replace(options, dockerfile=file or "Dockerfile"),
            )
        return
    if ctx.directory is None:
        raise UsageError(
            "A directory can be built only on the host itself", hint="tar -c . | ssh paas@host build -t NAME -"
        )
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=ctx.directory)
    except OSError as error:
        raise InvalidInput(f"{shown(path)} cannot be built from: {error.strerror}") from None
    chosen = _dockerfile(ctx.directory, opened, file, options)
    with DirectoryTree(opened, ctx.platform.paths.contexts, int(time.time())) as tree:
        yield tree, chosen


def _dockerfile(cwd: int, top: int, file: str | None, options: BuildOptions) -> BuildOptions:
    """`-f` is relative to where the command was typed, else to the directory; it may lie outside of both."""
    if file is None:
        return options
    for base in (cwd, top):
        try:
            opened = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=base)
        except OSError:
            continue
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise InvalidInput(f"{shown(file)} is not a file")
            real = Path(f"/proc/self/fd/{opened}").readlink()
            inside = Path(f"/proc/self/fd/{top}").readlink()
            if real.is_relative_to(inside):
                return replace(options, dockerfile=str(real.relative_to(inside)))
            with os.fdopen(opened, "rb", closefd=False) as source:
                return replace(options, dockerfile=file, text=source.read(_DOCKERFILE_LIMIT + 1))
        finally:
            os.close(opened)
    raise InvalidInput(f"There is no file {shown(file)}", hint="-f names the Dockerfile.")


@contextmanager
def _from_input(ctx: Context, options: BuildOptions) -> Iterator[tuple[Tree, bytes | None]]:
    """An archive becomes a directory; anything else is the Dockerfile, with nothing to copy from."""
    place = ctx.platform.paths.scratch / f"context-{secrets.token_hex(6)}"
    ensure_directory(place.parent, mode=0o711)
    ensure_directory(place, mode=0o700)
    try:
        with os.fdopen(os.dup(ctx.stdin), "rb") as raw:
            head, stream = peek(raw)
            kind = compression(head)
            text: bytes | None = None
            root = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if kind is not None or looks_like_tar(head):
                unpack(decompressed(stream, kind), root, limits=Limits(size=options.limits.disk))
            else:
                text = stream.read(_DOCKERFILE_LIMIT + 1)
        with DirectoryTree(root, None, int(time.time())) as tree:
            yield tree, text
    finally:
        remove_tree(place)


def _style(asked: str | None, ctx: Context) -> Style:
    if asked is None or asked == "auto":
        return "tty" if ctx.tty else "plain"
    for style in STYLES:
        if asked == style:
            return style
    raise InvalidInput(f"{shown(asked)} is not a style of progress", hint=f"Known: {', '.join(STYLES)}")


def _arguments(ctx: Context, words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            found[name] = value
        elif name in ctx.environment:
            found[name] = ctx.environment[name]
    return found


def _secrets(ctx: Context, words: Sequence[str]) -> dict[str, bytes]:
    found = {}
    for word in words:
        fields = dict(part.partition("=")[::2] for part in word.split(","))
        id, source = fields.get("id", ""), fields.get("src") or fields.get("source")
        if not id or set(fields) - {"id", "src", "source", "env", "type"}:
            raise InvalidInput("--secret needs an id", hint="Example: --secret id=npm,src=$HOME/.npmrc")
        variable = fields.get("env") or ("" if source else id)
        if source is None:
            if variable not in ctx.environment:
                raise InvalidInput(f"--secret id={id}: there is no variable {shown(variable)}")
            found[id] = ctx.environment[variable].encode("utf-8", "surrogateescape")
        else:
            found[id] = _secret_file(ctx, id, source)
    return found


def _secret_file(ctx: Context, id: str, source: str) -> bytes:
    data = None
    if ctx.directory is not None:
        base = os.open("/", os.O_RDONLY | os.O_DIRECTORY) if source.startswith("/") else os.dup(ctx.directory)
        try:
            data = read_in_root(base, source, _SECRET_LIMIT + 1)
        finally:
            os.close(base)
    if data is None:
        raise InvalidInput(f"--secret id={id}: {shown(source)} cannot be read", hint="It has to be a file on the host.")
    if len(data) > _SECRET_LIMIT:
        raise InvalidInput(f"--secret id={id}: more than {_SECRET_LIMIT} bytes are too much for a secret")
    return data


def _agents(ctx: Context, words: Sequence[str]) -> dict[str, Path]:
    found = {}
    for word in words:
        id, _, path = word.partition("=")
        socket = path or ctx.environment.get("SSH_AUTH_SOCK", "")
        if ctx.directory is None or not socket.startswith("/") or not Path(socket).is_socket():
            raise InvalidInput(
                f"--ssh {shown(id)}: {shown(socket) if socket else 'SSH_AUTH_SOCK'} is no agent's socket on this host",
                hint='Start one: eval "$(ssh-agent)" && ssh-add KEY',
            )
        found[id or "default"] = Path(socket)
    return found


def _pair(text: str, flag: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InvalidInput(f"{flag} needs KEY=VALUE")
    return key, value
