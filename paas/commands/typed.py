"""Words of commands that several take: counts, times, files where the command was typed; a caller's own streams."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO

from paas.commands.context import Context
from paas.errors import InvalidInput, UsageError
from paas.names import shown
from paas.output import Hangup

ALL = 9_999_999
"""The count that `all` stands for."""
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def count(text: str) -> int:
    """How many lines: a number, or `all`. Raises InvalidInput."""
    if text == "all":
        return ALL
    if not (text.isascii() and text.isdigit() and len(text) <= 7):
        raise InvalidInput(f"{shown(text)} is not a number of lines")
    return int(text)


def moment(text: str) -> datetime:
    """`10m`, `1h30m` (ago), `2024-05-01T10:00:00Z` or seconds since 1970. Raises InvalidInput."""
    match = _DURATION.fullmatch(text)
    try:
        if match and any(match.groups()):
            days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
            return datetime.now(UTC) - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if re.fullmatch(r"\d{1,11}(\.\d+)?", text, re.ASCII):
            return datetime.fromtimestamp(float(text), UTC)
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{shown(text)} is not a time", hint="Examples: 10m, 2h30m, 2024-05-01T10:00:00Z") from None


def read_typed(ctx: Context, path: str, limit: int, hint: str = "Over ssh, give what it says.") -> str:
    """The text of a file of at most `limit` bytes. Raises InvalidInput."""
    if ctx.directory is None:
        raise InvalidInput(f"{shown(path)} can be read only on the host itself", hint=hint)
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


@contextmanager
def output_file(ctx: Context, name: str | None) -> Iterator[IO[bytes]]:
    """Where to write; a file is whole or not there."""
    if name is None:
        if os.isatty(ctx.stdout):
            raise UsageError("An archive is not written to a terminal", hint="Use -o FILE, or redirect the output.")
        try:
            with os.fdopen(os.dup(ctx.stdout), "wb") as stream:
                yield stream
        except BrokenPipeError:
            raise Hangup from None
        return
    directory = _directory(ctx)
    temporary = f"{name}.{secrets.token_hex(4)}"
    try:
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=directory)
    except OSError as error:
        raise InvalidInput(f"{shown(name)} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(opened, "wb") as stream:
            yield stream
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException as error:
        os.unlink(temporary, dir_fd=directory)
        if isinstance(error, OSError):
            raise InvalidInput(f"{shown(name)} cannot be written: {error.strerror}") from None
        raise


@contextmanager
def input_file(ctx: Context, name: str | None) -> Iterator[IO[bytes]]:
    if name is None or name == "-":
        if os.isatty(ctx.stdin):
            raise UsageError("There is no archive in the input", hint="Redirect a file into it: <FILE")
        with os.fdopen(os.dup(ctx.stdin), "rb") as stream:
            yield stream
        return
    try:
        opened = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=_directory(ctx))
    except OSError as error:
        raise InvalidInput(f"{shown(name)} cannot be read: {error.strerror}") from None
    with os.fdopen(opened, "rb") as stream:
        yield stream


def _directory(ctx: Context) -> int:
    if ctx.directory is None:
        raise UsageError("Files can be named only on the host itself", hint="Use the input and the output over ssh.")
    return ctx.directory
