"""Copying files into containers, out of them, and from one to the other, in the way of `docker cp`."""

from __future__ import annotations

import os
import posixpath
import stat
import threading
from dataclasses import dataclass
from typing import IO

from paas.errors import InvalidInput, NotFound, PaasError
from paas.image.tarring import write_tree
from paas.image.unpack import unpack
from paas.names import shown
from paas.system.inroot import open_in_root

_PARENT = os.O_RDONLY | os.O_DIRECTORY

_KERNELS = frozenset({"dev", "proc", "sys"})
"""Of a running container's root: what the kernel shows there is no file of anybody's."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path below a root (a descriptor). `owner_base` is the host's id of the container's user 0; 0 for the host and
    for a container that does not run, whose files have their own owners."""

    root: int
    path: str
    owner_base: int = 0


def pack(source: Place, write: IO[bytes], *, called: str = "", keep_owners: bool = True) -> None:
    """Write what is at a path as a tar, with `called` (or its own name) as the name of its top; for `DIRECTORY/.`, and
    for the root itself, the content alone. Raises NotFound."""
    base = source.owner_base

    def owners(uid: int, gid: int) -> tuple[int, int]:
        return (max(0, uid - base), max(0, gid - base)) if keep_owners else (0, 0)

    parent, name = _split(source.path)
    directory = _open(source, parent)
    try:
        _stat(directory, name, source.path)
        whole = base != 0 and os.path.sameopenfile(directory, source.root)
        skip = _KERNELS if whole else frozenset[str]()
        write_tree(directory, name, write.write, called=called, owners=owners, skip=skip)
        write.flush()
    finally:
        os.close(directory)


def extract(stream: IO[bytes], target: Place) -> None:
    """Unpack a tar into a directory that is there. Raises NotFound, InvalidInput."""
    kind = _kind(target)
    if kind is None:
        raise NotFound(f"{shown(target.path)} does not exist in the container", hint="Make it first: exec ... mkdir")
    if not stat.S_ISDIR(kind):
        raise InvalidInput(f"{shown(target.path)} is not a directory", hint="An archive is unpacked into one.")
    unpack(stream, target.root, target.path, owner_base=target.owner_base)


def copy(source: Place, target: Place, *, keep_owners: bool) -> None:
    """Copy a file or directory: into the target if that is a directory, else under its name. Raises PaasError."""
    parent, name = _split(source.path)
    directory = _open(source, parent)
    try:
        is_directory = stat.S_ISDIR(_stat(directory, name, source.path).st_mode)
    finally:
        os.close(directory)
    kind = _kind(target)
    into, called = target.path, ""
    if kind is None or not stat.S_ISDIR(kind):
        if kind is not None and is_directory:
            raise InvalidInput(f"{shown(target.path)} is a file: a directory cannot be copied there")
        if kind is None and target.path.endswith("/") and not is_directory:
            raise NotFound(f"The directory {shown(target.path)} does not exist", hint="Make it first.")
        into, called = _split(target.path.rstrip("/"))
        above = _kind(Place(target.root, into))
        if above is None or not stat.S_ISDIR(above):
            raise NotFound(f"The directory {shown(into)} does not exist", hint="Make it first.")
    read, write = os.pipe2(os.O_CLOEXEC)
    failed: list[PaasError] = []

    def send() -> None:
        try:
            with os.fdopen(write, "wb") as stream:
                pack(source, stream, called=called, keep_owners=keep_owners)
        except PaasError as error:
            failed.append(error)
        except OSError:
            pass  # whoever reads has given up, and says why

    sender = threading.Thread(target=send, name="copy", daemon=True)
    sender.start()
    try:
        with os.fdopen(read, "rb") as stream:
            unpack(stream, target.root, into, owner_base=target.owner_base)
    except InvalidInput:
        sender.join()
        if failed:
            raise failed[0] from None
        raise
    sender.join()
    if failed:
        raise failed[0]


def _split(path: str) -> tuple[str, str]:
    """(directory, name); the name is `.` for the content of a directory."""
    if path.endswith("/.") or path in (".", "") or not path.strip("/"):
        return path.removesuffix(".").rstrip("/") or "/", "."
    clean = posixpath.normpath(path)
    parent, _, name = clean.rpartition("/")
    if name == "..":
        return clean, "."
    return parent or "/", name


def _open(place: Place, directory: str) -> int:
    try:
        return open_in_root(place.root, directory, _PARENT)
    except OSError:
        raise NotFound(f"{shown(place.path)} does not exist") from None


def _stat(directory: int, name: str, path: str) -> os.stat_result:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        raise NotFound(f"{shown(path)} does not exist") from None


def _kind(place: Place) -> int | None:
    """The mode of what is at a path, symlinks followed below the root; None when there is nothing."""
    try:
        opened = open_in_root(place.root, place.path or "/", os.O_PATH)
    except OSError:
        return None
    try:
        return os.fstat(opened).st_mode
    finally:
        os.close(opened)
