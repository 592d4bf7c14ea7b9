"""What layers hide: the OCI image specification's whiteouts (layer.md) as overlayfs has them on disk."""

from __future__ import annotations

import os
import stat

from paas.errors import InvalidInput
from paas.names import shown

WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


def white_out(directory: int, name: str) -> None:
    """Hide what layers below have, after an entry of a tar that begins with `.wh.`.

    What this layer has itself stays, in whatever order it comes. Raises InvalidInput.
    """
    if name == _OPAQUE:
        make_opaque(directory, ".")
        return
    hidden = name.removeprefix(WHITEOUT)
    if hidden in ("", ".", ".."):
        raise InvalidInput(f"The archive has a whiteout {shown(name)}, which names no file")
    if hidden.startswith(WHITEOUT):
        return  # bookkeeping of aufs
    try:
        os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=directory)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(hidden, dir_fd=directory, follow_symlinks=False).st_mode):
            make_opaque(directory, hidden)


def make_opaque(directory: int, name: str) -> None:
    """Let nothing that layers below have in a directory show."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(name, flags, dir_fd=directory)
    try:
        os.setxattr(opened, "trusted.overlay.opaque", b"y")
    finally:
        os.close(opened)
