"""Writing files into the root file system of a build: below the root only, symlinks followed inside it only."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from paas.build.modes import Chmod
from paas.errors import BuildFailed, InvalidInput
from paas.system.inroot import open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_CAPABILITIES = "security.capability"
_HOPS = 40


@dataclass(frozen=True, slots=True)
class Attributes:
    """What copied files get. `owner` None keeps the source's (COPY --from), `chmod` None its mode; `time` in ns."""

    owner: tuple[int, int] | None
    chmod: Chmod | None
    time: int | None

    def at(self, time: int | None) -> Attributes:
        """The same with another time."""
        return replace(self, time=time)


def open_directory(root: int, path: str, attributes: Attributes) -> int:
    """Open a directory below `root`, making it and missing parents: with the owner and time that copied files get, and
    mode 0755. Raises BuildFailed."""
    try:
        return open_in_root(root, path or ".", _DIRECTORY)
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        raise BuildFailed(f"{path} is not a directory in the image") from None
    parent, _, name = path.rstrip("/").rpartition("/")
    above = open_directory(root, parent or "/", attributes)
    try:
        try:
            os.mkdir(name, 0o755, dir_fd=above)
            _dress(name, above, replace(attributes, chmod=None), 0o755, is_link=False)
        except FileExistsError:
            pass  # a dangling symlink, or made meanwhile
        found = open_in_root(root, path, _DIRECTORY)
    except FileNotFoundError:
        raise BuildFailed(f"{path} is a symlink that leads nowhere in the image") from None
    finally:
        os.close(above)
    return found


def is_directory(root: int, path: str) -> bool:
    """Whether a path below `root` is a directory, symlinks followed inside the root."""
    try:
        os.close(open_in_root(root, path or ".", _DIRECTORY))
    except OSError:
        return False
    return True


def put_file(directory: int, name: str, mode: int, attributes: Attributes, write: Callable[[int], None]) -> None:
    """Write a regular file over whatever non-directory has its name; `write` is given its descriptor."""
    _clear(directory, name)
    descriptor = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory
    )
    try:
        write(descriptor)
    finally:
        os.close(descriptor)
    _dress(name, directory, attributes, mode, is_link=False)


def put_link(directory: int, name: str, target: str, attributes: Attributes) -> None:
    """Make a symlink; its target is not looked at, it means something only inside the container."""
    _clear(directory, name)
    os.symlink(target, name, dir_fd=directory)
    _dress(name, directory, attributes, 0o777, is_link=True)


def put_fifo(directory: int, name: str, mode: int, attributes: Attributes) -> None:
    _clear(directory, name)
    os.mkfifo(name, mode, dir_fd=directory)
    _dress(name, directory, attributes, mode, is_link=False)


def put_directory(directory: int, name: str, mode: int, attributes: Attributes) -> int:
    """Make a directory, or take the one that is there, and open it; it gets the mode and owner in either case.

    Raises BuildFailed where something else has its name.
    """
    try:
        os.mkdir(name, 0o755, dir_fd=directory)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            raise BuildFailed(f"{name} is no directory in the image; a directory cannot replace it") from None
    _dress(name, directory, attributes, mode, is_link=False)
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)


def follow(root: int, path: str) -> str:
    """Where a path leads when its last part is a symlink, perhaps one to nothing: a path below `root`."""
    for _ in range(_HOPS):
        folder, name = split(path)
        try:
            above = open_in_root(root, folder, os.O_PATH | os.O_DIRECTORY)
        except OSError:
            return path
        try:
            target = os.readlink(name, dir_fd=above)
            here = Path(f"/proc/self/fd/{above}").readlink().relative_to(Path(f"/proc/self/fd/{root}").readlink())
        except OSError:
            return path
        finally:
            os.close(above)
        path = posixpath.normpath(posixpath.join("/", str(here), target))
        if path == "/":
            return path
    raise InvalidInput(f"{path} goes through too many symlinks")


def touch_directory(directory: int, name: str, attributes: Attributes) -> None:
    """Give a directory its time once everything is in it."""
    if attributes.time is not None:
        os.utime(name, ns=(attributes.time, attributes.time), dir_fd=directory, follow_symlinks=False)


class Copier:
    """Copies from one root to another, hard links among what it copies kept. `skip` is asked with each path below the
    source that was named."""

    def __init__(self, attributes: Attributes, skip: Callable[[str], bool]) -> None:
        self._attributes = attributes
        self._skip = skip
        self._first: dict[tuple[int, int], tuple[int, str]] = {}
        self._directories: list[int] = []

    def close(self) -> None:
        for descriptor in self._directories:
            os.close(descriptor)

    def copy(self, source: int, old: str, directory: int, name: str, path: str) -> None:
        """`old` in the directory `source` to `name` in `directory` (descriptors); `path` is what `skip` is asked."""
        info = os.stat(old, dir_fd=source, follow_symlinks=False)
        attributes = Attributes(
            self._attributes.owner or (info.st_uid, info.st_gid),
            self._attributes.chmod,
            info.st_mtime_ns if self._attributes.time is None else self._attributes.time,
        )
        mode = stat.S_IMODE(info.st_mode)
        if stat.S_ISREG(info.st_mode):
            if not self._linked(info, directory, name):
                self._file(source, old, directory, name, mode, attributes)
        elif stat.S_ISLNK(info.st_mode):
            put_link(directory, name, os.readlink(old, dir_fd=source), attributes)
        elif stat.S_ISDIR(info.st_mode):
            inner = os.open(old, _DIRECTORY | os.O_NOFOLLOW, dir_fd=source)
            target = put_directory(directory, name, mode, attributes)
            try:
                self.contents(inner, target, path)
                _copy_xattrs(inner, target)
            finally:
                os.close(inner)
                os.close(target)
            touch_directory(directory, name, attributes)
        elif stat.S_ISFIFO(info.st_mode):
            put_fifo(directory, name, mode, attributes)
        # Sockets and devices are not copied: neither means anything in another file system.

    def contents(self, source: int, directory: int, path: str) -> None:
        """What is in the directory `source`."""
        with os.scandir(source) as children:
            names = sorted(child.name for child in children)
        for name in names:
            below = f"{path}/{name}" if path else name
            if not self._skip(below):
                self.copy(source, name, directory, name, below)

    def _linked(self, info: os.stat_result, directory: int, name: str) -> bool:
        """Make another name of a file that was copied already; False when there is none."""
        if info.st_nlink < 2:
            return False
        inode = (info.st_dev, info.st_ino)
        first = self._first.get(inode)
        if first is None:
            kept = os.dup(directory)
            self._directories.append(kept)
            self._first[inode] = (kept, name)
            return False
        _clear(directory, name)
        os.link(first[1], name, src_dir_fd=first[0], dst_dir_fd=directory, follow_symlinks=False)
        return True

    def _file(self, source: int, old: str, directory: int, name: str, mode: int, attributes: Attributes) -> None:
        opened = os.open(old, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        try:
            put_file(directory, name, mode, attributes, lambda target: _pour(opened, target))
            target = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                _copy_xattrs(opened, target)
            finally:
                os.close(target)
        finally:
            os.close(opened)


def _pour(source: int, target: int) -> None:
    """Copy a file's content, shared on disk where the file system can do that."""
    try:
        while os.copy_file_range(source, target, 1 << 30):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP):  # two file systems that cannot share
            raise
        while os.sendfile(target, source, None, 1 << 30):
            pass


def _copy_xattrs(source: int, target: int) -> None:
    """File capabilities, and what users have set."""
    for key in os.listxattr(source):
        if key == _CAPABILITIES or key.startswith("user."):
            os.setxattr(target, key, os.getxattr(source, key))


def _clear(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        raise BuildFailed(f"{name} is a directory in the image; a file cannot replace it") from None


def _dress(name: str, directory: int, attributes: Attributes, mode: int, *, is_link: bool) -> None:
    """Owner first: chown clears set-id bits."""
    owner = attributes.owner or (0, 0)
    os.chown(name, *owner, dir_fd=directory, follow_symlinks=False)
    if not is_link:
        if attributes.chmod is not None:
            mode = attributes.chmod(mode, stat.S_ISDIR(os.stat(name, dir_fd=directory).st_mode))
        os.chmod(name, mode, dir_fd=directory)
    if attributes.time is not None:
        os.utime(name, ns=(attributes.time, attributes.time), dir_fd=directory, follow_symlinks=False)


def split(path: str) -> tuple[str, str]:
    """`/a/b/` to ('/a', 'b'). Raises InvalidInput for the root itself."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        raise InvalidInput(f"{path!r} names no file")
    return parent or "/", name
