"""Names from outside: types whose constructors refuse what is not one. Nothing is silently stripped or altered."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from paas.errors import InvalidInput

_APP = re.compile(r"[a-z0-9][a-z0-9.-]*", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_PROCESS = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_ENV_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_KEY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]*", re.ASCII)

ENV_VALUE_LIMIT = 128 * 1024
"""Bytes; execve(2) refuses a longer single string (MAX_ARG_STRLEN)."""


def shown(value: str, limit: int = 60) -> str:
    """`value` quoted for a message: control characters escaped, cut when long."""
    text = value if len(value) <= limit else value[: limit - 1] + "…"
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + "'"


def printable(text: str) -> str:
    """What others have written, with nothing in it that could steer a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text)


def brief(text: str, limit: int = 80) -> str:
    """A command or script for one line of a message: its words, cut when long, control characters escaped."""
    return shown(" ".join(text.split()), limit)[1:-1]


class AppName(str):
    """An app's name: 1 to 63 characters of a-z, 0-9, '-' and '.', the first a letter or digit."""

    __slots__ = ()

    def __new__(cls, value: str) -> AppName:
        if not (_APP.fullmatch(value) and len(value) <= 63 and ".." not in value and value[-1] not in ".-"):
            raise InvalidInput(
                f"{shown(value)} is not an app name",
                hint="Use 1 to 63 of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit.",
            )
        return super().__new__(cls, value)


class Hostname(str):
    """A host name as in RFC 1123, lower case; a leading `*.` label (wildcard) is allowed."""

    __slots__ = ()

    def __new__(cls, value: str) -> Hostname:
        labels = value.removeprefix("*.").split(".")
        if len(value) > 253 or not all(len(label) <= 63 and _LABEL.fullmatch(label) for label in labels):
            raise InvalidInput(
                f"{shown(value)} is not a hostname",
                hint="Use lower-case letters, digits and '-' in labels joined by '.', such as blog.example.com.",
            )
        return super().__new__(cls, value)


class ProcessType(str):
    """A process type as in a Procfile (`web`, `worker`): a DNS label of at most 63 characters."""

    __slots__ = ()

    def __new__(cls, value: str) -> ProcessType:
        if len(value) > 63 or not _PROCESS.fullmatch(value):
            raise InvalidInput(
                f"{shown(value)} is not a process type",
                hint="Use lower-case letters, digits and '-', such as web or worker.",
            )
        return super().__new__(cls, value)


class EnvKey(str):
    """The name of a config var: a shell identifier of at most 255 characters."""

    __slots__ = ()

    def __new__(cls, value: str) -> EnvKey:
        if len(value) > 255 or not _ENV_KEY.fullmatch(value):
            raise InvalidInput(
                f"{shown(value)} is not a name for a config var",
                hint="Use letters, digits and '_', not beginning with a digit, such as DATABASE_URL.",
            )
        return super().__new__(cls, value)


def env_value(key: str, value: str) -> str:
    """Check a config var's value: no NUL, at most ENV_VALUE_LIMIT bytes. The value never appears in the error."""
    if "\0" in value:
        raise InvalidInput(f"The value of {key} contains a NUL byte, which no environment can carry")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"The value of {key} is not valid UTF-8", hint="Pass binary data base64-encoded.") from None
    if size > ENV_VALUE_LIMIT:
        raise InvalidInput(
            f"The value of {key} is {size} bytes long; the limit is {ENV_VALUE_LIMIT}",
            hint="Put large data into a file on a mounted volume (storage:mount).",
        )
    return value


class KeyName(str):
    """The name under which an SSH public key is kept."""

    __slots__ = ()

    def __new__(cls, value: str) -> KeyName:
        if len(value) > 63 or not _KEY_NAME.fullmatch(value):
            raise InvalidInput(
                f"{shown(value)} is not a name for a key", hint="Use letters, digits, '-', '_', '.' and '@'."
            )
        return super().__new__(cls, value)


def port_number(value: str) -> int:
    """A TCP or UDP port, 1 to 65535."""
    if not (value.isascii() and value.isdigit() and len(value) <= 5 and 1 <= int(value) <= 65535):
        raise InvalidInput(f"{shown(value)} is not a port", hint="Ports are numbers from 1 to 65535.")
    return int(value)


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Up to three of `known` that look like `word`, best first, for "did you mean"."""
    return difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
