"""Writing files into the root file system of a build: below the root only, symlinks followed inside it only."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from paas.errors import BuildFailed, InvalidInput
from paas.system.inroot import open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_XATTRS = ("security.capability",)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What copied files get. `owner` None keeps the source's (COPY --from), `mode` None likewise; `time` in ns."""

    owner: tuple[int, int] | None
    mode: int | None
    time: int | None


def open_directory(root: int, path: str, attributes: Attributes) -> int:
    """Open a directory below `root`, making it and missing parents (root:root 0755). Raises BuildFailed."""
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
            _dress(name, above, attributes, 0o755, is_link=False)
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


def put_directory(directory: int, name: str, mode: int, attributes: Attributes) -> int:
    """Make a directory, or take the one that is there, and open it. What it had keeps its mode and owner."""
    try:
        os.mkdir(name, 0o755, dir_fd=directory)
        fresh = True
    except FileExistsError:
        fresh = False
    if not fresh and not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=directory)
        os.mkdir(name, 0o755, dir_fd=directory)
        fresh = True
    if fresh:
        _dress(name, directory, attributes, mode, is_link=False)
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)


def touch_directory(directory: int, name: str, attributes: Attributes) -> None:
    """Give a directory its time once everything is in it."""
    if attributes.time is not None:
        os.utime(name, ns=(attributes.time, attributes.time), dir_fd=directory, follow_symlinks=False)


def copy_as(source: int, old: str, directory: int, name: str, attributes: Attributes) -> None:
    info = os.stat(old, dir_fd=source, follow_symlinks=False)
    dressed = Attributes(
        attributes.owner or (info.st_uid, info.st_gid),
        attributes.mode,
        info.st_mtime_ns if attributes.time is None else attributes.time,
    )
    mode = stat.S_IMODE(info.st_mode)
    if stat.S_ISREG(info.st_mode):
        opened = os.open(old, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        try:
            put_file(directory, name, mode, dressed, lambda target: _pour(opened, target))
            _copy_xattrs(opened, directory, name)
        finally:
            os.close(opened)
    elif stat.S_ISLNK(info.st_mode):
        put_link(directory, name, os.readlink(old, dir_fd=source), dressed)
    elif stat.S_ISDIR(info.st_mode):
        inner = os.open(old, _DIRECTORY | os.O_NOFOLLOW, dir_fd=source)
        target = put_directory(directory, name, mode, dressed)
        try:
            with os.scandir(inner) as children:
                names = sorted(child.name for child in children)
            for child in names:
                copy_as(inner, child, target, child, attributes)
        finally:
            os.close(inner)
            os.close(target)
        touch_directory(directory, name, dressed)
    elif stat.S_ISFIFO(info.st_mode):
        _clear(directory, name)
        os.mkfifo(name, mode, dir_fd=directory)
        _dress(name, directory, dressed, mode, is_link=False)
    # Sockets and devices are not copied: neither means anything in another file system.


def _pour(source: int, target: int) -> None:
    while os.copy_file_range(source, target, 1 << 30):
        pass


def _copy_xattrs(opened: int, directory: int, name: str) -> None:
    for key in _XATTRS:
        try:
            value = os.getxattr(opened, key)
        except OSError:
            continue
        target = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            os.setxattr(target, key, value)
        finally:
            os.close(target)


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
        os.chmod(name, mode if attributes.mode is None else attributes.mode, dir_fd=directory)
    if attributes.time is not None:
        os.utime(name, ns=(attributes.time, attributes.time), dir_fd=directory, follow_symlinks=False)


def split(path: str) -> tuple[str, str]:
    """`/a/b/` to ('/a', 'b'). Raises InvalidInput for the root itself."""
    parent, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        raise InvalidInput(f"{path!r} names no file")
    return parent or "/", name
