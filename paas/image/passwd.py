"""Users and groups as an image knows them: its own /etc/passwd and /etc/group, read without leaving its root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.errors import InvalidInput
from paas.names import shown
from paas.system.inroot import read_in_root

_LIMIT = 4 << 20
_MAXIMUM = 65535
"""Ids beyond it have no place in a container's user namespace."""


@dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int
    groups: tuple[int, ...]
    """Supplementary groups. The first is `gid`, so that dropping it (setgid) leaves its files as they were."""
    home: str


def resolve_user(root: Path | int, spec: str) -> User:
    """`name`, `uid`, `name:group`, `uid:gid` or nothing (root), as USER in a Dockerfile. Raises InvalidInput."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if isinstance(root, Path) else root
    try:
        return _resolve(descriptor, spec)
    finally:
        if isinstance(root, Path):
            os.close(descriptor)


def resolve_owner(root: int, spec: str) -> tuple[int, int]:
    """(user, group) of COPY's --chown: a number alone is both. Raises InvalidInput."""
    user, _, group = spec.partition(":")
    number = _number(user) if user else None
    if number is not None and not group:
        return number, number
    found = _resolve(root, spec)
    return found.uid, found.gid


def _resolve(root: int, spec: str) -> User:
    name, colon, group = spec.partition(":")
    uid, gid, home, login = _user(root, name or "0")
    if colon and group:
        gid = _group(root, group)
        return User(uid, gid, (gid,), home)
    groups = [
        int(fields[2])
        for fields in _lines(root, "etc/group", 4)
        if login and login in fields[3].split(",") and _id(fields[2]) is not None
    ]
    return User(uid, gid, tuple(dict.fromkeys([gid, *groups])), home)


def _user(root: int, name: str) -> tuple[int, int, str, str]:
    number = _number(name)
    for fields in _lines(root, "etc/passwd", 7):
        uid, gid = _id(fields[2]), _id(fields[3])
        if uid is None or gid is None:
            continue
        if fields[0] == name or uid == number:
            return uid, gid, fields[5] or "/", fields[0]
    if number is None:
        raise InvalidInput(
            f"The image has no user {shown(name)} in /etc/passwd", hint="Make it with RUN useradd first."
        )
    return number, 0, "/root" if number == 0 else "/", ""


def _group(root: int, name: str) -> int:
    number = _number(name)
    if number is not None:
        return number
    for fields in _lines(root, "etc/group", 4):
        gid = _id(fields[2])
        if fields[0] == name and gid is not None:
            return gid
    raise InvalidInput(f"The image has no group {shown(name)} in /etc/group", hint="Make it with RUN groupadd first.")


def _id(text: str) -> int | None:
    """An id as a file of the image has it; None for what is none, or has no place in a container."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= _MAXIMUM else None


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    if len(text) > 10 or int(text) > _MAXIMUM:
        raise InvalidInput(f"{shown(text)} is no user or group id", hint=f"Ids go from 0 to {_MAXIMUM}.")
    return int(text)


def _lines(root: int, path: str, fields: int) -> Iterator[list[str]]:
    content = read_in_root(root, path, _LIMIT) or b""
    for line in content.decode("utf-8", "replace").split("\n"):
        parts = line.split(":")
        if len(parts) >= fields and "\0" not in line:
            yield parts
