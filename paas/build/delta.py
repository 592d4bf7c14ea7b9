"""A COPY of a large directory of which little changed since the last time: only the change is made a layer.

The step then comes to the layers of the last time and one more. What a file looks like does not depend on it, but the
time of an unchanged file stays that of the build which first had it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from paas.build.context import Context
from paas.errors import InvalidInput
from paas.source.entry import Entry

LARGE_COUNT, LARGE_SIZE = 256, 8 << 20
"""Files, or bytes, from which on it is worth one more layer."""
DEEPEST = 16
"""Layers of one COPY, after which it is made whole again."""


@dataclass(slots=True)
class Changes:
    """Paths are relative to the directory that is copied."""

    changed: list[tuple[str, Entry]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


class Restructured(Exception):
    """Something became another kind of file: the copy has to be made whole."""


def snapshot(context: Context, directory: Entry) -> bytes:
    """What is needed to find out later what has changed in a directory."""
    if directory.oid:
        return directory.oid.encode()
    return zlib.compress(json.dumps(_manifest(context, directory)).encode(), 1)


def changes(context: Context, directory: Entry, then: bytes, left_out: Callable[[str], bool]) -> Changes | None:
    """What changed since a snapshot, but for paths that are `left_out` (with all below them); None when that cannot be
    told, or is no mere change of content."""
    found = _changes(context, directory, then)
    if found is not None:
        found.changed = [(path, entry) for path, entry in found.changed if not left_out(path.partition("/")[0])]
        found.removed = [path for path in found.removed if not left_out(path.partition("/")[0])]
    return found


def _changes(context: Context, directory: Entry, then: bytes) -> Changes | None:
    try:
        if directory.oid:
            found = Changes()
            before = Entry(directory.path, "dir", directory.mode, then.decode("ascii"))
            _compare_trees(context, before, directory, "", found)
            return found
        return _compare_manifests(context, directory, json.loads(zlib.decompress(then)))
    except (InvalidInput, Restructured, ValueError, zlib.error):  # git may have dropped the old tree
        return None


def _compare_trees(context: Context, before: Entry, after: Entry, path: str, found: Changes) -> None:
    old = {child.name: child for child in context.children(before)}
    for child in context.children(after):
        below = f"{path}/{child.name}" if path else child.name
        was = old.pop(child.name, None)
        if was is None:
            found.changed.append((below, child))
        elif was.kind != child.kind:
            raise Restructured
        elif (was.oid, was.mode) != (child.oid, child.mode):
            if child.kind == "dir":
                _compare_trees(context, was, child, below, found)
            else:
                found.changed.append((below, child))
    found.removed += [f"{path}/{name}" if path else name for name in old]


def _compare_manifests(context: Context, directory: Entry, old: dict[str, str]) -> Changes:
    found = Changes()
    for path, entry in _walk(context, directory, ""):
        was, now = old.pop(path, None), _mark(context, entry)
        if was is not None and was.split(" ")[0] != entry.kind:
            raise Restructured
        if entry.kind == "dir" and was is not None and was != now:
            raise Restructured  # its mode is another one
        if was != now:
            found.changed.append((path, entry))
    # A new directory brings what is in it, a removed one takes it along.
    new = {path for path, entry in found.changed if entry.kind == "dir"}
    found.changed = [(path, entry) for path, entry in found.changed if not _lies_in(path, new)]
    gone = {path for path, mark in old.items() if mark.startswith("dir ")}
    found.removed = [path for path in old if not _lies_in(path, gone)]
    return found


def _lies_in(path: str, directories: set[str]) -> bool:
    while "/" in path:
        path = path.rpartition("/")[0]
        if path in directories:
            return True
    return False


def _manifest(context: Context, directory: Entry) -> dict[str, str]:
    return {path: _mark(context, entry) for path, entry in _walk(context, directory, "")}


def _mark(context: Context, entry: Entry) -> str:
    return f"dir {entry.mode:o}" if entry.kind == "dir" else context.key(entry)


def _walk(context: Context, directory: Entry, path: str) -> Iterator[tuple[str, Entry]]:
    for child in context.children(directory):
        below = f"{path}/{child.name}" if path else child.name
        yield below, child
        if child.kind == "dir":
            yield from _walk(context, child, below)
