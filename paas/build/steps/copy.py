"""COPY and ADD: from the context, here-documents, other stages and images, addresses."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from paas.build import delta, keys
from paas.build.context import Context, Found, fixed_start, parents
from paas.build.copying import Attributes
from paas.build.destination import Destination
from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import DockerfileError
from paas.build.dockerfile.glob import compile_pattern
from paas.build.layering import Done, Layering
from paas.build.modes import parse_mode
from paas.build.selection import Exclusion, SourcePattern
from paas.build.stage import Stage
from paas.build.steps.remote import Fetched, Fetcher, is_remote
from paas.errors import ADVICE, BuildFailed, InvalidInput, SystemFailure
from paas.image.passwd import resolve_owner
from paas.model import Layer
from paas.names import shown
from paas.source.entry import Entry
from paas.system.disk import advise, is_full
from paas.system.inroot import open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
From = Callable[[str], Sequence[Layer]]
"""The layers of the stage or image that `--from` names."""


@dataclass(slots=True)
class _Request:
    """A COPY or ADD with its words expanded."""

    below: Sequence[Layer]
    """What it is copied onto; nothing with `--link`, whose layer does not depend on those below."""
    sources: list[SourcePattern]
    texts: list[tuple[str, str]]
    fetched: list[Fetched]
    destination: str
    target: str
    owner: str
    chmod: str
    exclude: tuple[str, ...]
    parents: bool
    unpack: bool | None
    """Whether archives are unpacked; None for what ADD does by itself: local ones are."""

    def attributes(self, root: int, time: int | None) -> Attributes:
        if self.owner:
            owner: tuple[int, int] | None = resolve_owner(root, self.owner)
        else:
            owner = None if time is None else (0, 0)
        return Attributes(owner, parse_mode(self.chmod), time)

    @property
    def shape(self) -> list[object]:
        """All of the cache key but what is copied."""
        chain = keys.chain(layer.id for layer in self.below)
        return [chain, self.target, self.owner, self.chmod, self.exclude, self.parents, self.unpack]


def copy(
    instruction: ins.Copy, stage: Stage, context: Context, layering: Layering, find: From, fetcher: Fetcher
) -> Done:
    """Carry out COPY or ADD; the layer comes from the cache when nothing it depends on changed."""
    try:
        with ExitStack() as undo:
            request = _request(instruction, stage, fetcher, undo)
            refuse_several(request, len(request.sources) + len(request.texts) + len(request.fetched))
            if instruction.from_stage:
                below = find(stage.expand(instruction.from_stage, instruction.span))
                return _from_layers(request, below, layering)
            return _from_context(request, context, layering)
    except InvalidInput as error:
        raise stage.error(instruction.span, error.message, error.hint) from None
    except DockerfileError:
        raise
    except BuildFailed as error:
        raise stage.error(instruction.span, error.message, error.hint) from None
    except SystemFailure as error:
        raise stage.error(instruction.span, error.message, advise(error).hint) from error
    except OSError as error:
        hint = f"The disk is full. {ADVICE}" if is_full(error) else None
        raise stage.error(instruction.span, f"copying failed: {error.strerror}", hint) from error


def _request(instruction: ins.Copy, stage: Stage, fetcher: Fetcher, undo: ExitStack) -> _Request:
    span = instruction.span
    words = [stage.expand(source, span) for source in instruction.sources]
    is_add = isinstance(instruction, ins.Add)
    remote = [word for word in words if is_add and is_remote(word)]
    destination = stage.expand(instruction.destination, span)
    owner = stage.expand(instruction.chown, span)
    chmod = stage.expand(instruction.chmod, span)
    parse_mode(chmod)
    fetched = []
    if isinstance(instruction, ins.Add):
        checksum = stage.expand(instruction.checksum, span)
        if checksum and (len(remote) != 1 or len(words) != 1):
            raise InvalidInput("--checksum is for one address", hint="Write one ADD for each.")
        fetched = [undo.enter_context(fetcher.fetch(word, checksum, instruction.keep_git_dir)) for word in remote]
    numeric = all(part.isdigit() for part in owner.split(":"))
    alone = instruction.link and (not owner or numeric)
    return _Request(
        below=() if alone else tuple(stage.layers),
        sources=[SourcePattern.parse(word) for word in words if word not in remote],
        texts=[
            (text.name, stage.expand_body(text.content, span) if text.expand else text.content)
            for text in instruction.heredocs
        ],
        fetched=fetched,
        destination=destination,
        target=stage.absolute(destination),
        owner=owner,
        chmod=chmod,
        exclude=tuple(stage.expand(pattern, span) for pattern in instruction.exclude),
        parents=instruction.parents,
        unpack=(instruction.unpack if isinstance(instruction, ins.Add) else False),
    )


def part_of_context(path: str, context: Context, layering: Layering) -> tuple[Sequence[Layer], str]:
    """A file or directory of the context as layers of its own, and its path in them. Raises InvalidInput."""
    source = SourcePattern(path, path, "")
    request = _Request((), [source], [], [], "/", "/", "", "", (), False, False)
    only = context.sources(source)[0]
    return _from_context(request, context, layering).layers, "" if only.entry.kind == "dir" else only.name


def refuse_several(request: _Request, count: int) -> None:
    """Several sources need a directory. Raises InvalidInput."""
    if count > 1 and not request.parents and not request.destination.endswith(("/", ".")):
        raise InvalidInput(f"{shown(request.destination)} must end with '/' where there are several sources")


def _from_layers(request: _Request, below: Sequence[Layer], layering: Layering) -> Done:
    sources = [(source.text, source.path) for source in request.sources]
    key = keys.digest("copy from", request.shape, keys.chain(layer.id for layer in below), sources)
    known = layering.cached(key)
    if known is not None:
        return known

    def make(root: int) -> None:
        attributes = request.attributes(root, None)
        into = Destination(root, request.target, attributes, Exclusion(request.exclude), layering.room)
        with layering.root(below) as other:
            for source in request.sources:
                found = _matches(other, source, missing=request.parents)
                refuse_several(request, len(found) + len(request.sources) - 1)
                for path in found:
                    into.from_root(other, path, source.kept_parents(path) if request.parents else None)

    return layering.change(request.below, key, keys.digest(key), make)


def _from_context(request: _Request, context: Context, layering: Layering) -> Done:
    found = [(one, source) for source in request.sources for one in _found(request, context, source)]
    refuse_several(request, len(found) + len(request.texts) + len(request.fetched))
    exclusion = Exclusion(request.exclude)
    inputs = [
        [one.path if request.parents else one.name, context.key_without(one.entry, exclusion)] for one, _ in found
    ]
    remote = [one.key for one in request.fetched]
    key = keys.digest("copy", request.shape, inputs, request.texts, remote)
    known = layering.cached(key)
    if known is not None:
        return known
    whole = _is_whole_directory(request, found)
    if whole is not None:
        done = _changed_part(request, context, layering, whole, key)
        if done is not None:
            return done
    count = 0

    def make(root: int) -> None:
        nonlocal count
        attributes = request.attributes(root, context.time * 1_000_000_000)
        into = Destination(root, request.target, attributes, Exclusion(request.exclude), layering.room)
        for name, text in request.texts:
            into.text(name, text)
        for other in request.fetched:
            other.put(into, unpack=bool(request.unpack))
        for one, source in found:
            if request.unpack is not False and one.entry.kind == "file" and into.archive_entry(context, one.entry):
                continue
            kept = source.kept_parents(one.path) if request.parents else None
            into.from_context(context, one.entry, one.name, kept)
        count = into.count

    done = layering.change(request.below, key, keys.digest(key, context.time), make)
    if whole is not None and (count >= delta.LARGE_COUNT or done.layers[-1].size >= delta.LARGE_SIZE):
        layering.set_last_copy(_shape(request, context), done.layers, delta.snapshot(context, whole))
    return done


def _found(request: _Request, context: Context, source: SourcePattern) -> list[Found]:
    return context.sources(source, missing=request.parents and source.is_pattern)


def _is_whole_directory(request: _Request, found: list[tuple[Found, SourcePattern]]) -> Entry | None:
    """The directory, where this copies nothing but one."""
    only = len(found) == 1 and not request.texts and not request.fetched and not request.parents
    if not only or not Exclusion(request.exclude).is_shallow or found[0][0].entry.kind != "dir":
        return None
    return found[0][0].entry


def _shape(request: _Request, context: Context) -> str:
    return keys.digest("copy shape", request.shape, [source.path for source in request.sources], context.rules)


def _changed_part(request: _Request, context: Context, layering: Layering, directory: Entry, key: str) -> Done | None:
    """A layer of only what changed since the last COPY like this one; None when it has to be made whole."""
    shape = _shape(request, context)
    last = layering.last_copy(shape)
    if last is None or len(last[0]) >= delta.DEEPEST:
        return None
    found = delta.changes(context, directory, last[1], Exclusion(request.exclude).covers)
    if found is None or _uncovers(found.removed, request, layering):
        return None

    def make(root: int) -> None:
        attributes = request.attributes(root, context.time * 1_000_000_000)
        into = Destination(root, request.target, attributes, Exclusion(()), layering.room)
        for path in found.removed:
            into.remove(path)
        for path, entry in found.changed:
            into.change(context, entry, path)

    identity = keys.digest(key, context.time, [layer.id for layer in last[0]])
    done = layering.change(request.below, key, identity, make, bringing=last[0])
    layering.set_last_copy(shape, done.layers, delta.snapshot(context, directory))
    return done


def _uncovers(removed: list[str], request: _Request, layering: Layering) -> bool:
    """Whether something that is removed now hid a file of the layers below, which has to appear again."""
    if not removed or not request.below:
        return False
    with layering.root(request.below) as root:
        for path in removed:
            try:
                os.close(open_in_root(root, f"{request.target}/{path}", os.O_PATH | os.O_NOFOLLOW))
            except OSError:
                continue
            return True
    return False


def _matches(root: int, source: SourcePattern, *, missing: bool) -> list[str]:
    """The paths that a source names in another root."""
    if not source.is_pattern:
        try:
            os.close(open_in_root(root, source.path or ".", os.O_PATH))
        except OSError:
            raise InvalidInput(f"{shown(source.text)} is not there to be copied") from None
        return [source.path]
    expression = compile_pattern(source.path)
    names = [name for name in _names_below(root, fixed_start(source.path)) if expression.fullmatch(name)]
    taken = set(names)
    found = [name for name in names if not any(parent in taken for parent in parents(name))]
    if not found and not missing:
        raise InvalidInput(f"{shown(source.text)} matches nothing there")
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
