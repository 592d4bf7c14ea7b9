"""Root file systems: overlayfs over the layers of an image, with owners mapped into a container's range.

What lies on disk keeps its real owners (www-data is 33): both the layers and the writable directory are id-mapped.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from paas.faults import reached
from paas.runtime.sandbox import Sandbox
from paas.system import mounts
from paas.system.files import ensure_directory, remove_tree

_OPTIONS = "redirect_dir=off,metacopy=off,index=off,xino=off"
_mounter = mounts.MountThread()


def mount_mapped(
    target: Path,
    scratch: Path,
    layers: Path,
    numbers: Sequence[int],
    data: Path | None,
    sandbox: Sandbox,
    *,
    volatile: bool = False,
) -> None:
    """Mount the layers with these `numbers` (bottom first) of the folder `layers` on `target`.

    `data` holds the directories `upper` and `work`; without it the mount is read-only. `scratch` is an empty directory
    for the id-mapped mounts it is made of. With `volatile` nothing is synced to disk on the way.
    """
    lower, writable = ensure_directory(scratch / "l", mode=0o700), scratch / "w"
    user = os.open(sandbox.userns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        mounts.idmapped(layers, lower, user)
        text = "lowerdir=" + ":".join(
            f"l/{number}" for number in _names(layers, numbers, at_least=2 if data is None else 1)
        )
        if data is not None:
            ensure_directory(writable, mode=0o700)
            idmap = os.open(sandbox.idmap, os.O_RDONLY | os.O_CLOEXEC)
            try:
                mounts.idmapped(data, writable, idmap)
            finally:
                os.close(idmap)
            text += f",upperdir={writable}/upper,workdir={writable}/work"
        _mount(target, scratch, f"{text},{_OPTIONS}{',volatile' if volatile and data else ''}")
    finally:
        os.close(user)
        mounts.unmount(lower)  # overlayfs has clones of its own
        mounts.unmount(writable)


def begin_upper(upper: Path, layers: Path, numbers: Sequence[int]) -> None:
    """Give an upper directory the mode and owner that `/` has in these layers: its own would hide them."""
    if numbers:
        info = (layers / str(numbers[-1])).stat()
        os.chown(upper, info.st_uid, info.st_gid)
        upper.chmod(stat.S_IMODE(info.st_mode))


@contextlib.contextmanager
def mounted_plain(
    scratch: Path, layers: Path, numbers: Sequence[int], data: Path | None, *, volatile: bool = True
) -> Iterator[Path]:
    """Mount layers for our own use, owners as on disk; yields the root. `scratch` is made and removed.

    `data` that was mounted `volatile` cannot be mounted again.
    """
    ensure_directory(scratch, mode=0o700)
    target = ensure_directory(scratch / "merged")
    try:
        if not numbers:
            yield data / "upper" if data is not None else target
            return
        text = "lowerdir=" + ":".join(_names(layers, numbers, at_least=2 if data is None else 1))
        if data is not None:
            text += f",upperdir={data}/upper,workdir={data}/work"
        _mount(target, layers, f"{text},{_OPTIONS}{',volatile' if data and volatile else ''}")
        reached("rootfs:mounted")
        yield target
    finally:
        mounts.unmount(target)
        remove_tree(scratch)


def _names(layers: Path, numbers: Sequence[int], at_least: int = 1) -> list[str]:
    """Directories of the layers, top first. overlayfs wants one, or two where there is no upper one."""
    names = [str(number) for number in reversed(numbers)]
    if len(names) < at_least:
        ensure_directory(layers / ".empty")
        names += [".empty"] if names else [".empty"] * at_least
    return names


def _mount(target: Path, directory: Path, options: str) -> None:
    _mounter.run(directory, lambda: mounts.mount("overlay", target, "overlay", mounts.MS_NODEV, options))
