"""A directory as what a build reads its files from. Files are hashed once and again only when their stat changed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from paas.errors import InvalidInput
from paas.names import shown
from paas.source.entry import Entry, Kind, too_large
from paas.system.files import ensure_directory, write_private
from paas.system.inroot import open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_BLOCK = 1 << 20
_DEEPEST = 256
_RACY = 2_000_000_000
"""Nanoseconds: a file that was changed so shortly before it was hashed may change again without its stat doing so."""
_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
}
_Known = list[int | str]
"""[inode, size, mtime, ctime, sha256]"""


class DirectoryTree:
    """A context manager around a directory descriptor, which it closes. `memory` is where hashes are remembered.

    Nothing outside of the directory is ever read, whatever symlinks there are and whoever changes it meanwhile.
    Sockets and devices are left out.
    """

    def __init__(self, descriptor: int, memory: Path | None = None, time: int = 0) -> None:
        self._root = descriptor
        self.time = time
        self._file = None
        self._known: dict[str, _Known] = {}
        self._used: dict[str, _Known] = {}
        self._stats: dict[str, os.stat_result] = {}
        self._listings: dict[str, list[Entry]] = {}
        self._fresh = False
        if memory is not None:
            info = os.fstat(descriptor)
            self._file = memory / f"{info.st_dev:x}-{info.st_ino:x}.json"
            self._known = _load(self._file)

    def __enter__(self) -> DirectoryTree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remember the hashes of what this build looked at."""
        os.close(self._root)
        if self._file is not None and self._fresh:
            young = time.time_ns() - _RACY
            kept = {path: known for path, known in self._used.items() if int(known[3]) < young}
            ensure_directory(self._file.parent, mode=0o700)
            write_private(self._file, json.dumps(kept))

    def enter(self, path: str) -> None:
        """Make a directory the root ('' changes nothing), before anything is hashed. Raises InvalidInput."""
        try:
            opened = self._open(path)
        except OSError as error:
            raise InvalidInput(f"There is no directory {shown(path)}: {error.strerror}") from None
        os.close(self._root)
        self._root = opened
        self._stats.clear()
        self._listings.clear()

    @property
    def root(self) -> Entry:
        return Entry("", "dir", 0o755)

    def entry(self, path: str) -> Entry | None:
        if not path:
            return self.root
        parent, _, name = path.rpartition("/")
        try:
            directory = self._open(parent)
        except OSError:
            return None
        try:
            return self._described(path, os.stat(name, dir_fd=directory, follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None
        finally:
            os.close(directory)

    def list(self, directory: Entry) -> list[Entry]:
        """What is directly in a directory, sorted by name; looked up once. Raises InvalidInput for one that cannot be
        read."""
        known = self._listings.get(directory.path)
        if known is not None:
            return known
        if directory.path.count("/") > _DEEPEST:
            raise InvalidInput("The directories are nested too deeply")
        try:
            opened = self._open(directory.path)
        except OSError as error:
            raise InvalidInput(f"{shown(directory.path or '.')} cannot be read: {error.strerror}") from None
        prefix = f"{directory.path}/" if directory.path else ""
        found = []
        try:
            with os.scandir(opened) as children:
                for child in children:
                    with suppress(FileNotFoundError):  # it was removed just now
                        entry = self._described(prefix + child.name, child.stat(follow_symlinks=False))
                        if entry is not None:
                            found.append(entry)
        finally:
            os.close(opened)
        found.sort(key=lambda entry: entry.path)
        self._listings[directory.path] = found
        return found

    def walk(self, directory: Entry) -> Iterator[Entry]:
        levels = [iter(self.list(directory))]
        while levels:
            child = next(levels[-1], None)
            if child is None:
                levels.pop()
                continue
            yield child
            if child.kind == "dir":
                levels.append(iter(self.list(child)))

    def content(self, entry: Entry) -> str:
        """The sha256 of a file's content or of a symlink's target. Raises InvalidInput for what cannot be read."""
        if entry.kind == "link":
            return hashlib.sha256(self.read(entry, _BLOCK)).hexdigest()
        if entry.kind != "file":
            return ""
        used = self._used.get(entry.path)
        if used is not None:
            return str(used[4])
        info = self._stats.get(entry.path)
        if info is None:
            self.entry(entry.path)
            info = self._stats.get(entry.path)
        mark = [info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns] if info is not None else []
        known = self._known.get(entry.path)
        if known is None or known[:4] != mark:
            known = [*mark, self._hash(entry)]
            self._fresh = True
        self._used[entry.path] = known
        return str(known[4])

    def read(self, entry: Entry, limit: int) -> bytes:
        parent, _, name = entry.path.rpartition("/")
        try:
            directory = self._open(parent)
            try:
                if entry.kind == "link":
                    return os.fsencode(os.readlink(name, dir_fd=directory))
            finally:
                os.close(directory)
            with os.fdopen(self._open_file(entry), "rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise InvalidInput(f"{shown(entry.path)} cannot be read: {error.strerror}") from None
        if len(data) > limit:
            raise InvalidInput(f"A file of more than {limit} bytes is too large here")
        return data

    def copy_to(self, entry: Entry, descriptor: int, limit: int = 1 << 62) -> None:
        source = self._open_file(entry)
        try:
            if (size := os.fstat(source).st_size) > limit:
                raise too_large(entry, size)
            while os.sendfile(descriptor, source, None, 1 << 30):
                pass
        finally:
            os.close(source)

    def _open(self, path: str) -> int:
        return open_in_root(self._root, path or ".", _DIRECTORY)

    def _open_file(self, entry: Entry) -> int:
        opened = open_in_root(self._root, entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(opened).st_mode):  # replaced meanwhile, perhaps by a fifo without an end
            os.close(opened)
            raise InvalidInput(f"{shown(entry.path)} is no file any more")
        return opened

    def _described(self, path: str, info: os.stat_result) -> Entry | None:
        kind = _KINDS.get(stat.S_IFMT(info.st_mode))
        if kind is None:
            return None
        self._stats[path] = info
        inode = (info.st_dev, info.st_ino) if kind == "file" and info.st_nlink > 1 else None
        return Entry(path, kind, stat.S_IMODE(info.st_mode), "", info.st_mtime_ns, inode)

    def _hash(self, entry: Entry) -> str:
        digest = hashlib.sha256()
        try:
            source = self._open_file(entry)
            try:
                while block := os.read(source, _BLOCK):
                    digest.update(block)
            finally:
                os.close(source)
        except OSError as error:
            raise InvalidInput(f"{shown(entry.path)} cannot be read: {error.strerror}") from None
        return digest.hexdigest()


def _load(file: Path) -> dict[str, _Known]:
    try:
        value = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
