"""The modes of `--chmod`: octal, or symbolic as chmod(1) has them (`u=rwX,go=rX`). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from paas.errors import InvalidInput

Chmod = Callable[[int, bool], int]
"""(mode, is it a directory) -> mode"""

_OCTAL = re.compile(r"0?[0-7]{1,4}")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_AFFECTED = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_BITS = {"r": 4, "w": 2, "x": 1}
_SPECIAL = {"s": 0o6000, "t": 0o1000}


def parse_mode(text: str) -> Chmod | None:
    """None for an empty text, which changes nothing. Raises InvalidInput. Symbolic modes know no umask."""
    if not text:
        return None
    if _OCTAL.fullmatch(text):
        mode = int(text, 8)
        return lambda *_: mode
    clauses = [_CLAUSE.fullmatch(part) for part in text.split(",")]
    if not all(clauses):
        raise InvalidInput(f"--chmod={text} is not a mode", hint="Examples: --chmod=755, --chmod=u=rwX,go=rX")
    steps = [(clause[1] or "a", _ACTION.findall(clause[2])) for clause in clauses if clause]

    def change(mode: int, is_directory: bool) -> int:
        for who, actions in steps:
            classes = "ugo" if "a" in who else who
            for operator, permissions in actions:
                mode = _applied(mode, is_directory, classes, operator, permissions)
        return mode

    return change


def _applied(mode: int, is_directory: bool, classes: str, operator: str, permissions: str) -> int:
    given, affected = 0, 0
    for name in classes:
        shift = _SHIFTS[name]
        affected |= _AFFECTED[name]
        if permissions in _SHIFTS:
            given |= ((mode >> _SHIFTS[permissions]) & 0o7) << shift
            continue
        for letter in permissions:
            if letter in _BITS:
                given |= _BITS[letter] << shift
            elif letter == "X" and (is_directory or mode & 0o111):
                given |= 1 << shift
            elif letter in _SPECIAL:
                given |= _SPECIAL[letter]
    given &= affected
    if operator == "+":
        return mode | given
    if operator == "-":
        return mode & ~given
    return (mode & ~affected) | given
