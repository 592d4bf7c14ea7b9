"""Files where a command was typed: only root on the host has any."""

from __future__ import annotations

import os
import stat

from paas.commands.context import Context
from paas.errors import InvalidInput
from paas.names import shown


def read_typed(ctx: Context, path: str, limit: int) -> str:
    """The text of a file of at most `limit` bytes. Raises InvalidInput."""
    if ctx.directory is None:
        raise InvalidInput(f"{shown(path)} can be read only on the host itself", hint="Over ssh, give the values: -e")
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=ctx.directory)
    except OSError as error:
        raise InvalidInput(f"{shown(path)} cannot be read: {error.strerror}") from None
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise InvalidInput(f"{shown(path)} is not a file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InvalidInput(f"{shown(path)} is longer than {limit} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{shown(path)} is not UTF-8 text") from None
