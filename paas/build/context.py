"""The build context of a push: its git tree, less what .dockerignore leaves out.

Keys come from git's object ids: what has not changed costs no read.
"""

from __future__ import annotations

import posixpath

from paas.build import keys
from paas.build.dockerfile.glob import compile_pattern, is_pattern
from paas.build.dockerfile.ignore import IgnoreFile
from paas.errors import InvalidInput
from paas.names import shown
from paas.source.tree import Entry, GitTree

_HOPS = 40
_IGNORE_LIMIT = 1 << 20


class Context:
    def __init__(self, tree: GitTree) -> None:
        self.tree = tree
        entry = tree.entry(".dockerignore")
        data = tree.read(entry, _IGNORE_LIMIT) if entry is not None and entry.kind == "file" else b""
        self._ignore = IgnoreFile.parse(data)
        self._keys: dict[tuple[str, str], str] = {}

    @property
    def time(self) -> int:
        """What copied files get as their time, in seconds since the epoch: the commit's."""
        return self.tree.time

    def sources(self, pattern: str) -> list[Entry]:
        """The entries a COPY source names, symlinks followed inside the context.

        Raises InvalidInput for what leads outside, is left out, or is not there.
        """
        path = _normal(pattern)
        if is_pattern(path):
            expression = compile_pattern(path)
            found = [e for e in self.tree.walk(self.tree.root) if expression.fullmatch(e.path) and not self.left_out(e)]
            found = [e for e in found if not any(e.path.startswith(f"{o.path}/") for o in found)]
        else:
            entry = self._resolve(path)
            found = [entry] if entry is not None and (path == "" or not self.left_out(entry)) else []
        if not found:
            raise InvalidInput(f"{shown(pattern)} is not in the pushed tree", hint=self._why_missing(path))
        return [self._followed(entry) for entry in found]

    def children(self, directory: Entry) -> list[Entry]:
        """What of a directory is in the context."""
        entries = self.tree.list(directory)
        if self._ignore.is_empty:
            return entries
        return [entry for entry in entries if self._wanted(entry)]

    def left_out(self, entry: Entry) -> bool:
        return self._ignore.ignored(entry.path)

    def key(self, entry: Entry) -> str:
        """Changes whenever what a COPY of this entry writes would change."""
        if self._ignore.is_empty or entry.kind != "dir":
            return f"{entry.kind} {entry.mode:o} {entry.oid}"
        known = self._keys.get((entry.path, entry.oid))
        if known is None:
            children = [(child.name, self.key(child)) for child in self.children(entry)]
            known = self._keys[entry.path, entry.oid] = keys.digest("dir", children)
        return known

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
                raise InvalidInput(f"{shown(entry.path)} is a symlink that leads to nothing in the pushed tree")
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
        return "Was it committed? Paths are relative to the top of the repository."


def _normal(pattern: str) -> str:
    path = posixpath.normpath(pattern.lstrip("/")) if pattern.lstrip("/") else "."
    if path == ".." or path.startswith("../"):
        raise InvalidInput(
            f"{shown(pattern)} leads outside of the pushed tree", hint="COPY can only reach what is pushed."
        )
    return "" if path == "." else path
