"""COPY and ADD: from the context, from here-documents, from other stages and images."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.build import keys
from paas.build.context import Context
from paas.build.copying import (
    Attributes,
    copy_as,
    is_directory,
    open_directory,
    put_directory,
    put_file,
    put_link,
    split,
    touch_directory,
)
from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import DockerfileError
from paas.build.dockerfile.glob import compile_pattern, is_pattern
from paas.build.layering import Layering
from paas.build.stage import Stage
from paas.errors import BuildFailed, InvalidInput
from paas.image.passwd import resolve_user
from paas.image.unpack import compression, decompressed, looks_like_tar, peek, unpack
from paas.model import Layer
from paas.names import shown
from paas.source.tree import Entry
from paas.system.inroot import open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ARCHIVE_HEAD = 1024
From = Callable[[str], Sequence[Layer]]
"""The layers of the stage or image that `--from` names."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What a step came to."""

    layer: Layer
    cached: bool


def copy(instruction: ins.Copy, stage: Stage, context: Context, layering: Layering, find: From) -> Copied:
    """Carry out COPY or ADD; the layer comes from the cache when nothing it depends on changed."""
    _refuse_what_is_not_there_yet(instruction, stage)
    try:
        return _copy(instruction, stage, context, layering, find)
    except InvalidInput as error:
        raise stage.error(instruction.span, error.message, error.hint) from None
    except DockerfileError:
        raise
    except BuildFailed as error:
        raise stage.error(instruction.span, error.message, error.hint) from None
    except OSError as error:
        raise stage.error(instruction.span, f"copying failed: {error.strerror}") from error


def _copy(instruction: ins.Copy, stage: Stage, context: Context, layering: Layering, find: From) -> Copied:
    span = instruction.span
    patterns = [stage.expand(source, span) for source in instruction.sources]
    destination = stage.expand(instruction.destination, span)
    target = stage.absolute(destination)
    owner = stage.expand(instruction.chown, span)
    mode = _mode(stage.expand(instruction.chmod, span))
    texts = [(h.name, stage.expand_body(h.content, span) if h.expand else h.content) for h in instruction.heredocs]
    is_add = isinstance(instruction, ins.Add)
    inputs: list[object]
    if instruction.from_stage:
        below = find(stage.expand(instruction.from_stage, span))
        inputs = [keys.chain(layer.id for layer in below), patterns]
    else:
        below = ()
        entries = [entry for pattern in patterns for entry in context.sources(pattern)]
        inputs = [[entry.name, context.key(entry)] for entry in entries]
    key = keys.digest(
        "add" if is_add else "copy", stage.chain, inputs, texts, target, owner, mode, len(patterns) + len(texts)
    )
    known = layering.cached(key)
    if known is not None:
        return Copied(known, cached=True)
    several = len(patterns) + len(texts) > 1 or any(is_pattern(pattern) for pattern in patterns)
    if several and not destination.endswith(("/", ".")):
        raise InvalidInput(f"{shown(destination)} must end with '/' where there are several sources")

    def make(root: int) -> None:
        user = resolve_user(root, owner) if owner else None
        time = None if instruction.from_stage else context.time * 1_000_000_000
        ids = (user.uid, user.gid) if user else None if instruction.from_stage else (0, 0)
        into = _Destination(root, target, Attributes(ids, mode, time))
        for name, text in texts:
            into.text(name, text)
        if instruction.from_stage:
            with layering.root(below) as source:
                for pattern in patterns:
                    into.from_image(source, pattern)
        else:
            for entry in entries:
                if is_add and entry.kind == "file" and into.archive(context, entry):
                    continue
                into.from_context(context, entry)

    identity = keys.digest(key, 0 if instruction.from_stage else context.time)
    return Copied(layering.change(stage.layers, key, identity, make), cached=False)


class _Destination:
    """Where a COPY writes: below `target` when that is a directory or ends with a slash, else as `target`."""

    def __init__(self, root: int, target: str, attributes: Attributes) -> None:
        self._root = root
        self._target = target
        self._attributes = attributes
        self._as_directory = target.endswith("/") or is_directory(root, target)

    def text(self, name: str, text: str) -> None:
        directory, final = self._place(name)
        try:
            put_file(directory, final, 0o644, self._attributes, lambda fd: _write(fd, text.encode()))
        finally:
            os.close(directory)

    def from_context(self, context: Context, entry: Entry) -> None:
        if entry.kind == "dir":
            directory = open_directory(self._root, self._target, self._attributes)
            try:
                self._contents(context, entry, directory)
            finally:
                os.close(directory)
            return
        directory, final = self._place(entry.name)
        try:
            self._entry(context, entry, directory, final)
        finally:
            os.close(directory)

    def archive(self, context: Context, entry: Entry) -> bool:
        """ADD unpacks a local tar archive into the destination; False for a file that is none."""
        with tempfile.TemporaryFile() as file:
            context.tree.copy_to(entry, file.fileno())
            file.seek(0)
            head = file.read(_ARCHIVE_HEAD)
            file.seek(0)
            kind = compression(head)
            if kind is None and not looks_like_tar(head):
                return False
            try:
                inner, stream = peek(decompressed(file, kind))
            except (OSError, EOFError):
                return False
            if not looks_like_tar(inner):
                return False
            os.close(open_directory(self._root, self._target, self._attributes))
            unpack(stream, self._root, self._target)
        return True

    def from_image(self, source: int, pattern: str) -> None:
        """Copy what a path or pattern names in another root file system."""
        for path in _matches(source, pattern):
            found = open_in_root(source, path or ".", os.O_PATH)
            try:
                is_dir = stat.S_ISDIR(os.fstat(found).st_mode)
            finally:
                os.close(found)
            if is_dir:
                self._directory_of_image(source, path)
            else:
                self._file_of_image(source, path)

    def _directory_of_image(self, source: int, path: str) -> None:
        inner = open_in_root(source, path or ".", _DIRECTORY)
        directory = open_directory(self._root, self._target, self._attributes)
        try:
            with os.scandir(inner) as children:
                names = sorted(child.name for child in children)
            for name in names:
                copy_as(inner, name, directory, name, self._attributes)
        finally:
            os.close(inner)
            os.close(directory)

    def _file_of_image(self, source: int, path: str) -> None:
        """A symlink named as the source stands for what it leads to."""
        opened = open_in_root(source, path, os.O_PATH)
        real = str(Path(f"/proc/self/fd/{opened}").readlink())
        top = str(Path(f"/proc/self/fd/{source}").readlink())
        os.close(opened)
        relative = "/" + posixpath.relpath(real, top)
        parent, name = split(relative)
        above = open_in_root(source, parent, _DIRECTORY)
        directory, final = self._place(posixpath.basename(path))
        try:
            copy_as(above, name, directory, final, self._attributes)
        finally:
            os.close(above)
            os.close(directory)

    def _contents(self, context: Context, parent: Entry, directory: int) -> None:
        for child in context.children(parent):
            self._entry(context, child, directory, child.name)

    def _entry(self, context: Context, entry: Entry, directory: int, name: str) -> None:
        match entry.kind:
            case "file":
                put_file(directory, name, entry.mode, self._attributes, lambda fd: context.tree.copy_to(entry, fd))
            case "link":
                put_link(directory, name, os.fsdecode(context.tree.read(entry, 4096)), self._attributes)
            case "dir":
                inner = put_directory(directory, name, entry.mode, self._attributes)
                try:
                    self._contents(context, entry, inner)
                finally:
                    os.close(inner)
                touch_directory(directory, name, self._attributes)
            case "submodule":
                os.close(put_directory(directory, name, 0o755, self._attributes))

    def _place(self, name: str) -> tuple[int, str]:
        """The directory (a descriptor) and the name a single source gets."""
        if self._as_directory:
            return open_directory(self._root, self._target.rstrip("/") or "/", self._attributes), name
        parent, final = split(self._target)
        return open_directory(self._root, parent, self._attributes), final


def _matches(root: int, pattern: str) -> list[str]:
    path = posixpath.normpath("/" + pattern).lstrip("/")
    if not is_pattern(path):
        try:
            os.close(open_in_root(root, path or ".", os.O_PATH))
        except OSError:
            raise InvalidInput(f"{shown(pattern)} is not there to be copied") from None
        return [path]
    expression = compile_pattern(path)
    fixed = path.split("/")
    start = "/".join(fixed[: next(i for i, part in enumerate(fixed) if is_pattern(part))])
    found = [name for name in _names_below(root, start) if expression.fullmatch(name)]
    found = [name for name in found if not any(name.startswith(other + "/") for other in found)]
    if not found:
        raise InvalidInput(f"{shown(pattern)} matches nothing there")
    return sorted(found)


def _names_below(root: int, start: str) -> list[str]:
    try:
        directory = open_in_root(root, start or ".", _DIRECTORY)
    except OSError:
        return []
    names = []
    try:
        with os.scandir(directory) as children:
            for child in children:
                name = f"{start}/{child.name}" if start else child.name
                names.append(name)
                if child.is_dir(follow_symlinks=False):
                    names += _names_below(root, name)
    finally:
        os.close(directory)
    return names


def _mode(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-7]{1,4}", text):
        raise InvalidInput(f"--chmod={text} is not an octal mode", hint="Example: --chmod=755")
    return int(text, 8)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _refuse_what_is_not_there_yet(instruction: ins.Copy, stage: Stage) -> None:
    for present, what in ((instruction.exclude, "--exclude"), (instruction.parents, "--parents")):
        if present:
            raise stage.error(instruction.span, f"COPY {what} is not supported yet")
    for source in instruction.sources:
        if isinstance(instruction, ins.Add) and re.match(r"(https?|git|ssh)://|git@", source):
            raise stage.error(
                instruction.span, "ADD from a URL is not supported yet", "Download it in a RUN step, with curl or git."
            )
