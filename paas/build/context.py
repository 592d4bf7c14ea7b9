"""The build context: a tree, less what .dockerignore leaves out.

Keys come from the tree's ids of contents (git's, or remembered hashes): what has not changed costs no read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paas.build import keys
from paas.build.dockerfile.glob import compile_pattern, is_pattern
from paas.build.dockerfile.ignore import IgnoreFile
from paas.build.selection import Exclusion, SourcePattern, normal
from paas.errors import InvalidInput
from paas.names import shown
from paas.source.entry import Entry, Tree

_HOPS = 40
_IGNORE_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """What a source names: `path` is where, and what is there once symlinks are followed is the `entry`."""

    entry: Entry
    path: str

    @property
    def name(self) -> str:
        """What a copy of it is called."""
        return self.path.rpartition("/")[2]


class Context:
    def __init__(
        self, tree: Tree, dockerfile: str = "Dockerfile", noun: str = "the pushed tree", *, ignoring: bool = True
    ) -> None:
        """`dockerfile` is its path in the tree; a `NAME.dockerignore` beside it wins over `.dockerignore`."""
        self.tree = tree
        self.noun = noun
        """What messages call the context."""
        data = b""
        for name in (f"{dockerfile}.dockerignore", ".dockerignore") if ignoring else ():
            entry = tree.entry(name)
            if entry is not None and entry.kind == "file":
                data = tree.read(entry, _IGNORE_LIMIT)
                break
        self._ignore = IgnoreFile.parse(data)
        self.rules = keys.digest("ignore", data.hex())
        """What changes whenever the rules do that leave something out."""
        self._keys: dict[tuple[str, str], str] = {}

    @property
    def time(self) -> int:
        """Seconds since the epoch: the commit's, or when the build began."""
        return self.tree.time

    def time_of(self, entry: Entry) -> int:
        """What a copy of this entry gets as its time, in ns."""
        newest = self.tree.time * 1_000_000_000
        return newest if entry.time is None else min(entry.time, newest)

    def sources(self, source: SourcePattern, *, missing: bool = False) -> list[Found]:
        """What a COPY source names, symlinks followed inside the context.

        Raises InvalidInput for what leads outside, is left out, or is not there (unless that may be `missing`).
        """
        path = source.path
        if source.is_pattern:
            expression = compile_pattern(path)
            found = [e for e in self._below(path) if expression.fullmatch(e.path) and not self.left_out(e)]
            found = outermost(found)
        else:
            entry = self._resolve(path)
            found = [entry] if entry is not None and (path == "" or not self.left_out(entry)) else []
        if not found and not missing:
            raise InvalidInput(f"{shown(source.text)} is not in {self.noun}", hint=self._why_missing(path))
        if not source.is_pattern and found:
            return [Found(self._followed(found[0]), path)]
        return [Found(self._followed(entry), entry.path) for entry in found]

    def find(self, path: str, *, ignored: bool = False) -> Entry | None:
        """What a path names, symlinks followed inside the context; what is left out only if `ignored` says so."""
        entry = self._resolve(normal(path))
        if entry is None or (not ignored and entry.path and self.left_out(entry)):
            return None
        return self._followed(entry)

    def _below(self, pattern: str) -> Iterator[Entry]:
        """Everything below the directories that a pattern begins with."""
        start = fixed_start(pattern)
        directory = self._resolve(start)
        return self.tree.walk(directory) if directory is not None and directory.kind == "dir" else iter(())

    def children(self, directory: Entry) -> list[Entry]:
        """What of a directory is in the context."""
        entries = self.tree.list(directory)
        if self._ignore.is_empty:
            return entries
        return [entry for entry in entries if self._wanted(entry)]

    def left_out(self, entry: Entry) -> bool:
        return self._ignore.ignored(entry.path)

    @property
    def has_exceptions(self) -> bool:
        """Whether the rules take something back (`!`)."""
        return self._ignore.has_exceptions

    def ignores(self, path: str) -> bool:
        """Whether the rules leave a path out."""
        return self._ignore.ignored(path)

    def key(self, entry: Entry) -> str:
        """Changes whenever what a COPY of this entry writes would change."""
        if entry.kind != "dir" or (self._ignore.is_empty and entry.oid):
            return f"{entry.kind} {entry.mode:o} {self.tree.content(entry)}"
        known = self._keys.get((entry.path, entry.oid))
        if known is None:
            children = [(child.name, self.key(child)) for child in self.children(entry)]
            known = self._keys[entry.path, entry.oid] = keys.digest("dir", entry.mode, children)
        return known

    def key_without(self, entry: Entry, exclusion: Exclusion) -> str:
        """The same, less what `--exclude` covers: what is left out changes nothing."""
        return self._key_without(entry, exclusion, "") if entry.kind == "dir" and exclusion else self.key(entry)

    def _key_without(self, directory: Entry, exclusion: Exclusion, below: str) -> str:
        children = []
        for child in self.children(directory):
            path = f"{below}/{child.name}" if below else child.name
            if not exclusion.covers(path):
                deeper = child.kind == "dir" and not exclusion.is_shallow
                key = self._key_without(child, exclusion, path) if deeper else self.key(child)
                children.append((child.name, key))
        return keys.digest("dir", directory.mode, children)

    def _wanted(self, entry: Entry) -> bool:
        """A directory that is left out is still entered where `!` may take back what is in it."""
        if not self.left_out(entry):
            return True
        return entry.kind == "dir" and self._ignore.has_exceptions and bool(self.children(entry))

    def _resolve(self, path: str, hops: int = 0) -> Entry | None:
        """Walk a path, following symlinks on the way as if the context were `/`."""
        found = self.tree.root
        parts = path.split("/") if path else []
        for position, part in enumerate(parts):
            child = next((e for e in self.tree.list(found) if e.name == part), None) if found.kind == "dir" else None
            if child is None:
                return None
            if child.kind == "link" and position + 1 < len(parts):
                if hops >= _HOPS:
                    raise InvalidInput(f"{shown(path)} goes through too many symlinks")
                rest = "/".join(parts[position + 1 :])
                return self._resolve(posixpath.join(self._target(child), rest), hops + 1)
            found = child
        return found

    def _followed(self, entry: Entry) -> Entry:
        """A source that is itself a symlink stands for what it leads to."""
        for hop in range(_HOPS):
            if entry.kind != "link":
                return entry
            target = self._resolve(self._target(entry), hop)
            if target is None or self.left_out(target):
                raise InvalidInput(f"{shown(entry.path)} is a symlink that leads to nothing in {self.noun}")
            entry = target
        raise InvalidInput(f"{shown(entry.path)} goes through too many symlinks")

    def _target(self, link: Entry) -> str:
        """Where a symlink leads, relative to the context; `..` stops at its root."""
        text = self.tree.read(link, 4096).decode("utf-8", "surrogateescape")
        joined = posixpath.join("/", posixpath.dirname(link.path), text)
        return posixpath.normpath(joined).lstrip("/")

    def _why_missing(self, path: str) -> str:
        entry = self.tree.entry(path) if not is_pattern(path) else None
        if entry is not None and self.left_out(entry):
            return ".dockerignore leaves it out."
        asked = "Was it committed? " if self.tree.root.oid else ""
        return f"{asked}Paths are relative to the top of {self.noun}."


def outermost(entries: Sequence[Entry]) -> list[Entry]:
    """Those that do not lie in another of them."""
    directories = {entry.path for entry in entries if entry.kind == "dir"}
    return [e for e in entries if not any(parent in directories for parent in parents(e.path))]


def parents(path: str) -> Iterator[str]:
    """The directories above a path, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def fixed_start(pattern: str) -> str:
    """The directories that stand before the first part of a pattern that is one."""
    parts = pattern.split("/")
    fixed = next((at for at, part in enumerate(parts) if is_pattern(part)), len(parts) - 1)
    return "/".join(parts[:fixed])
