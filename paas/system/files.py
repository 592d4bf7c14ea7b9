"""Files that are either whole or not there, and paths that cannot leave their root."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from paas.errors import SystemFailure
from paas.system.run import run


def write_atomic(
    path: Path,
    data: bytes | str,
    *,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    durable: bool = True,
) -> None:
    """Write to a temporary name beside `path`, fsync, rename over it, fsync the directory.

    Not `durable`: without fsync, for what can be made again and is written by the thousand.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, *owner)
            file.flush()
            if durable:
                os.fsync(descriptor)
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and new names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first moment on. Not atomic, not durable."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def ensure_directory(path: Path, *, mode: int = 0o755, owner: tuple[int, int] | None = None) -> Path:
    """Make a directory with exactly this mode, its parents as well; nothing is changed where it exists already."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            path.chmod(mode)
            if owner is not None:
                os.chown(path, *owner)
    return path


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is in it, or a file; nothing happens when it is not there.

    Never follows symlinks. Unmount what is mounted in it first: that is emptied as well, before it is told of here.
    """
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except RecursionError:  # deeper than Python follows: a build step can make such a tree
        run(["rm", "-rf", "--one-file-system", "--", str(path)], timeout=600)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise SystemFailure(f"{path} still holds a mount") from error
        raise


@contextlib.contextmanager
def umask(value: int) -> Iterator[None]:
    """Run with another umask. For start-up only: it is the process's, not the thread's."""
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def tree_size(top: Path) -> int:
    """Bytes of the files below a directory; those that go meanwhile do not count."""
    total = 0
    for folder, _, names in os.walk(top):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118  one Path each is slow
            except OSError:
                continue
    return total
