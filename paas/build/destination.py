"""Where a COPY writes: below its target when that is a directory or ends with a slash, else as the target itself."""

from __future__ import annotations

import contextlib
import os
import posixpath
import shutil
import stat
import tempfile
from pathlib import Path

from paas.build.context import Context
from paas.build.copying import (
    Attributes,
    Copier,
    follow,
    is_directory,
    open_directory,
    put_directory,
    put_fifo,
    put_file,
    put_link,
    split,
    touch_directory,
)
from paas.build.selection import Exclusion
from paas.image.decompress import compression, decompressed, looks_like_tar, peek
from paas.image.unpack import Limits, unpack
from paas.source.entry import Entry
from paas.system.inroot import open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_ARCHIVE_HEAD = 1024


class Destination:
    """`root` is the descriptor of the root that is written to. `count` tells how much was written. `room`: bytes
    that may come from the context and from archives, whose real size nobody sees before."""

    def __init__(self, root: int, target: str, attributes: Attributes, exclusion: Exclusion, room: int) -> None:
        self._root = root
        self._room = room
        self._target = target
        self._attributes = attributes
        self._exclusion = exclusion
        self._as_directory = target.endswith("/") or is_directory(root, target)
        self._links: dict[tuple[int, int], tuple[str, str]] = {}
        self.count = 0

    # -- single files ---------------------------------------------------------------------------------------------

    def text(self, name: str, text: str) -> None:
        directory, final = self._place(name)
        try:
            put_file(directory, final, 0o644, self._attributes, lambda fd: _write(fd, text.encode()))
        finally:
            os.close(directory)

    def download(self, file: Path, name: str, time: int | None) -> None:
        """What ADD fetched; `time` in seconds."""
        attributes = self._attributes if time is None else self._attributes.at(time * 1_000_000_000)
        directory, final = self._place(name)
        try:
            with file.open("rb") as source:
                put_file(directory, final, 0o600, attributes, lambda fd: _pour_into(source.fileno(), fd))
        finally:
            os.close(directory)

    # -- archives -------------------------------------------------------------------------------------------------

    def archive_entry(self, context: Context, entry: Entry) -> bool:
        """Unpack a file of the context that is a tar archive; False for one that is none."""
        with tempfile.TemporaryFile() as file:
            context.tree.copy_to(entry, file.fileno(), self._room)
            return self.archive(file.fileno())

    def archive(self, descriptor: int) -> bool:
        """Unpack an open file into the destination; False for one that is no tar archive."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        with os.fdopen(os.dup(descriptor), "rb") as file:
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
            unpack(stream, self._root, self._target, limits=Limits(size=self._room))
        return True

    # -- from the context -----------------------------------------------------------------------------------------

    def from_context(self, context: Context, entry: Entry, name: str, parents: str | None = None) -> None:
        """Copy an entry as `name`; with `parents` (perhaps '') below these directories, together with itself."""
        if entry.kind != "dir":
            if self._exclusion.covers(entry.path) or self._exclusion.covers(name):
                return
            directory, final = self._place(name, parents)
            try:
                self._entry(context, entry, directory, final, "")
            finally:
                os.close(directory)
            return
        directory = self._open(parents, name if parents is not None else "")
        try:
            self._contents(context, entry, directory, "")
        finally:
            os.close(directory)

    def change(self, context: Context, entry: Entry, path: str) -> None:
        """Put an entry at `path` below the target directory, over what is there."""
        parent, _, name = path.rpartition("/")
        directory = open_directory(self._root, posixpath.join(self._target, parent), self._attributes)
        try:
            self._entry(context, entry, directory, name, parent)
            self._touch(directory)
        finally:
            os.close(directory)

    def remove(self, path: str) -> None:
        """Remove what is at `path` below the target directory."""
        parent, _, name = path.rpartition("/")
        directory = open_in_root(self._root, posixpath.join(self._target, parent) or ".", _DIRECTORY)
        try:
            if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                shutil.rmtree(name, dir_fd=directory)
            else:
                os.unlink(name, dir_fd=directory)
            self._touch(directory)
        finally:
            os.close(directory)

    def _touch(self, directory: int) -> None:
        if self._attributes.time is not None:
            os.utime(directory, ns=(self._attributes.time, self._attributes.time))

    def _contents(self, context: Context, parent: Entry, directory: int, path: str) -> None:
        for child in context.children(parent):
            below = f"{path}/{child.name}" if path else child.name
            if not self._exclusion.covers(below):
                self._entry(context, child, directory, child.name, below)

    def _pour(self, context: Context, entry: Entry, descriptor: int) -> None:
        context.tree.copy_to(entry, descriptor, self._room)
        self._room -= os.fstat(descriptor).st_size

    def _entry(self, context: Context, entry: Entry, directory: int, name: str, path: str) -> None:
        self.count += 1
        attributes = self._attributes.at(context.time_of(entry))
        match entry.kind:
            case "file":
                if not self._linked(entry, directory, name):
                    put_file(directory, name, entry.mode, attributes, lambda fd: self._pour(context, entry, fd))
            case "link":
                put_link(directory, name, os.fsdecode(context.tree.read(entry, 4096)), attributes)
            case "dir":
                inner = put_directory(directory, name, entry.mode, attributes)
                try:
                    self._contents(context, entry, inner, path)
                finally:
                    os.close(inner)
                touch_directory(directory, name, attributes)
            case "fifo":
                put_fifo(directory, name, entry.mode, attributes)
            case "submodule":
                os.close(put_directory(directory, name, 0o755, attributes))

    def _linked(self, entry: Entry, directory: int, name: str) -> bool:
        """Make another name of a file that was copied already; False when there is none."""
        if entry.inode is None:
            return False
        here = str(Path(f"/proc/self/fd/{directory}").readlink())
        first = self._links.setdefault(entry.inode, (here, name))
        if first == (here, name):
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        source = os.open(first[0], _DIRECTORY)
        try:
            os.link(first[1], name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(source)
        return True

    # -- from other roots -----------------------------------------------------------------------------------------

    def from_root(self, source: int, path: str, parents: str | None = None) -> None:
        """Copy what is at `path` in another root (a descriptor). A symlink stands for what it leads to."""
        copier = Copier(self._attributes, self._exclusion.covers)
        try:
            found = open_in_root(source, path or ".", os.O_PATH)
            try:
                is_dir = stat.S_ISDIR(os.fstat(found).st_mode)
                real = str(Path(f"/proc/self/fd/{found}").readlink())
            finally:
                os.close(found)
            name = posixpath.basename(path)
            if is_dir:
                self._directory_of_root(copier, source, path, parents, name)
            elif not (self._exclusion.covers(path) or self._exclusion.covers(name)):
                self._file_of_root(copier, source, real, name, parents)
        finally:
            copier.close()

    def _directory_of_root(self, copier: Copier, source: int, path: str, parents: str | None, name: str) -> None:
        inner = open_in_root(source, path or ".", _DIRECTORY)
        directory = self._open(parents, name if parents is not None else "")
        try:
            copier.contents(inner, directory, "")
        finally:
            os.close(inner)
            os.close(directory)

    def _file_of_root(self, copier: Copier, source: int, real: str, name: str, parents: str | None) -> None:
        top = str(Path(f"/proc/self/fd/{source}").readlink())
        folder, final = split("/" + posixpath.relpath(real, top))
        above = open_in_root(source, folder, _DIRECTORY)
        directory, target = self._place(name, parents)
        try:
            copier.copy(above, final, directory, target, name)
        finally:
            os.close(above)
            os.close(directory)

    # -- places ---------------------------------------------------------------------------------------------------

    def _open(self, *below: str | None) -> int:
        path = posixpath.join(self._target, *(part for part in below if part))
        return open_directory(self._root, path.rstrip("/") or "/", self._attributes)

    def _place(self, name: str, parents: str | None = None) -> tuple[int, str]:
        """The directory (a descriptor) and the name that a single source gets."""
        if self._as_directory or parents is not None:
            return self._open(parents), name
        parent, final = split(follow(self._root, self._target))
        return open_directory(self._root, parent, self._attributes), final


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _pour_into(source: int, descriptor: int) -> None:
    while os.sendfile(descriptor, source, None, 1 << 30):
        pass
