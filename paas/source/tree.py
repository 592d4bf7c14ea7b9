"""The tree of a commit, read object by object; what is not asked for is never read.

Trees are parsed here (gitformat: `MODE SP NAME NUL` and 20 bytes of object id for each entry) and not trusted.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from types import TracebackType

from paas.errors import InvalidInput, SystemFailure
from paas.model import Source
from paas.names import shown
from paas.source.entry import Entry, Kind, too_large
from paas.source.repos import GIT_ENV
from paas.system import run as system

_KINDS: dict[int, Kind] = {0o100000: "file", 0o040000: "dir", 0o120000: "link", 0o160000: "submodule"}
_BLOCK = 1 << 20
_TREE_LIMIT = 64 << 20
_PATH_LIMIT = 4095
_ENTRIES = 1_000_000
_OID = re.compile(r"[0-9a-f]{40}")
_MODE = re.compile(rb"[0-7]{5,6}")
_DEEPEST = 256


class GitTree:
    """A context manager around one `git cat-file --batch`, run as the unprivileged `user`.

    `most`: entries of all the directories that are listed, after which it raises InvalidInput. A few small trees that
    name each other can stand for more than any machine could hold.
    """

    def __init__(self, source: Source, user: str | None, most: int = _ENTRIES) -> None:
        env = {**GIT_ENV, "GIT_DIR": str(source.repo)}
        if source.quarantine is not None:
            env["GIT_OBJECT_DIRECTORY"] = str(source.quarantine)
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(source.repo / "objects")
        self._process = system.start(
            ["git", "cat-file", "--batch"], stdin=system.PIPE, stdout=system.PIPE, env=env, user=user
        )
        self._lock = threading.RLock()
        """Held while one object is read: requests and answers alternate on git's pipes."""
        self._listings: dict[str, list[Entry]] = {}
        self._most = most
        self._listed: set[str] = set()
        self._count = 0
        self.commit = source.commit
        self.root_oid = ""
        self.time = 0
        """The committer's time, seconds since the epoch."""
        self.author = ""
        """`Name <address>`."""
        self.subject = ""
        """The first line of the commit's message."""

    def __enter__(self) -> GitTree:
        try:
            self._read_commit()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass  # git is gone already
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(timeout=10)

    def enter(self, path: str) -> None:
        """Make a directory the root ('' changes nothing). Raises InvalidInput where it is none."""
        found = self.entry(path)
        if found is None or found.kind != "dir":
            raise InvalidInput(f"The pushed tree has no directory {shown(path)}", hint="See builder:set build-dir.")
        self.root_oid = found.oid

    @property
    def root(self) -> Entry:
        return Entry("", "dir", 0o755, self.root_oid)

    def entry(self, path: str) -> Entry | None:
        """What is at a path ('' is the root); symlinks on the way are not followed."""
        found = self.root
        for part in path.split("/") if path else ():
            if found.kind != "dir":
                return None
            match = next((child for child in self.list(found) if child.name == part), None)
            if match is None:
                return None
            found = match
        return found

    def tree_oid(self, path: str) -> str | None:
        """The object id of the directory at a path: the same id, the same content below it. None for anything else."""
        found = self.entry(path)
        return found.oid if found is not None and found.kind == "dir" else None

    def list(self, directory: Entry) -> list[Entry]:
        """What is directly in a directory, in git's order. Raises InvalidInput for a tree that no git would make."""
        if directory.path.count("/") > _DEEPEST:
            raise InvalidInput("The push has directories nested too deeply")
        known = self._listings.get(directory.oid)
        if known is None or (known and known[0].path.rpartition("/")[0] != directory.path):
            known = _parse_tree(self._object(directory.oid, "tree", _TREE_LIMIT), directory.path)
            self._listings[directory.oid] = known
        if directory.path not in self._listed:
            self._listed.add(directory.path)
            self._count += len(known)
            if self._count > self._most:
                raise InvalidInput(
                    f"The push has more than {self._most} files and directories",
                    hint="Leave out what no build needs. An admin can allow more: git:set --global push-max-files",
                )
        return known

    def walk(self, directory: Entry) -> Iterator[Entry]:
        """Everything below a directory, parents before what is in them. Raises InvalidInput."""
        levels = [iter(self.list(directory))]
        while levels:
            child = next(levels[-1], None)
            if child is None:
                levels.pop()
                continue
            yield child
            if child.kind == "dir":
                levels.append(iter(self.list(child)))

    def read(self, entry: Entry, limit: int) -> bytes:
        """The content of a file, or the target of a symlink. Raises InvalidInput beyond `limit` bytes."""
        return self._object(entry.oid, "blob", limit)

    def copy_to(self, entry: Entry, descriptor: int, limit: int = 1 << 62) -> None:
        """Write the content of a file to a descriptor, block by block. Raises OSError when that refuses it,
        InvalidInput for one of more than `limit` bytes; the tree can be read no further then."""
        with self._lock:
            left = self._header(entry.oid, "blob")
            try:
                if left > limit:
                    raise too_large(entry, left)
                while left:
                    block = self._receive(min(left, _BLOCK))
                    view = memoryview(block)
                    while view:
                        view = view[os.write(descriptor, view) :]
                    left -= len(block)
            except BaseException:
                self.close()
                raise
            self._receive(1)

    def content(self, entry: Entry) -> str:
        """git's id of a file's content or a symlink's target, a submodule's commit."""
        return entry.oid

    def _read_commit(self) -> None:
        text = self._object(self.commit, "commit", _BLOCK).decode("utf-8", "replace")
        header, _, message = text.partition("\n\n")
        tree = re.match(r"tree ([0-9a-f]{40})(?:\n|$)", header)
        if tree is None:
            raise InvalidInput(f"Commit {self.commit[:12]} has no tree")
        self.root_oid = tree[1]
        if committed := re.search(r"^committer .* (\d{1,11}) [+-]\d{4}$", header, re.MULTILINE):
            self.time = int(committed[1])
        if author := re.search(r"^author (.*) \d+ [+-]\d{4}$", header, re.MULTILINE):
            self.author = author[1]
        self.subject = message.lstrip("\n").partition("\n")[0]

    def _object(self, oid: str, kind: str, limit: int) -> bytes:
        with self._lock:
            size = self._header(oid, kind)
            if size > limit:
                for start in range(0, size + 1, _BLOCK):
                    self._receive(min(size + 1 - start, _BLOCK))
                raise InvalidInput(f"A {kind} of {size} bytes is too large here; the limit is {limit}")
            data = self._receive(size)
            self._receive(1)
            return data

    def _receive(self, size: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if len(data) != size:
            raise SystemFailure("git ended in the middle of an object", hint="The repository may be damaged.")
        return data

    def _header(self, oid: str, kind: str) -> int:
        """Ask for an object and return its size; its content follows, then a newline."""
        assert self._process.stdin is not None and self._process.stdout is not None
        if not _OID.fullmatch(oid):
            raise InvalidInput(f"{shown(oid)} is not an object id")
        try:
            self._process.stdin.write(f"{oid}\n".encode())
            self._process.stdin.flush()
            words = self._process.stdout.readline(200).decode("ascii", "replace").split()
        except (OSError, ValueError) as error:
            raise SystemFailure("git ended unexpectedly") from error
        if len(words) == 2 and words[1] == "missing":
            raise InvalidInput(
                f"The push lacks the object {oid[:12]}", hint="Is your clone shallow? git fetch --unshallow"
            )
        if len(words) != 3 or not words[2].isdigit():
            raise SystemFailure("git cannot read the repository")
        if words[1] != kind:
            raise InvalidInput(f"Object {oid[:12]} is a {words[1]}, not a {kind}")
        return int(words[2])


def _parse_tree(data: bytes, parent: str) -> list[Entry]:
    entries, seen, at = list[Entry](), set[str](), 0
    while at < len(data):
        space, nul = data.find(b" ", at), data.find(b"\0", at)
        if not at < space < nul or nul + 21 > len(data):
            raise InvalidInput("The push has a damaged tree")
        digits = data[at:space]
        if not _MODE.fullmatch(digits):
            raise InvalidInput("The push has a damaged tree")
        mode = int(digits, 8)
        name = os.fsdecode(data[space + 1 : nul])
        kind = _KINDS.get(mode & 0o170000)
        if kind is None or name in ("", ".", "..") or "/" in name or name.lower() == ".git" or name in seen:
            raise InvalidInput(f"The push has a tree with an entry {shown(name)}, which git would not make")
        seen.add(name)
        path = f"{parent}/{name}" if parent else name
        if len(os.fsencode(path)) > _PATH_LIMIT or len(os.fsencode(name)) > 255:
            raise InvalidInput(f"The push has a path of more than {_PATH_LIMIT} bytes, or a name of more than 255")
        permissions = 0o755 if kind == "dir" or (kind == "file" and mode & 0o100) else 0o644
        entries.append(Entry(path, kind, permissions, data[nul + 1 : nul + 21].hex()))
        at = nul + 21
    return entries
