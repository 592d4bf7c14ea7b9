"""Regular expressions of packs: matched line by line, and of a form whose time cannot explode."""

from __future__ import annotations

import functools
import re
import re._constants as kinds  # type: ignore[import-not-found]
import re._parser as syntax  # type: ignore[import-not-found]
from typing import Any

from paas.errors import InvalidInput

_LINE = 1000
"""Characters of a line that are looked at."""
_LINES = 20_000
_LONGEST = 300
_REPEATS = 12
"""Unbounded repetitions in one expression."""
_BOUND = 100


@functools.cache
def compiled(text: str) -> re.Pattern[str]:
    """Raises InvalidInput for what is no expression, or could take for ever."""
    if len(text) > _LONGEST:
        raise InvalidInput(f"is longer than {_LONGEST} characters")
    try:
        tree = syntax.parse(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidInput(f"is no regular expression: {error}") from None
    if _repeats(tree, False) > _REPEATS:
        raise InvalidInput(f"repeats more than {_REPEATS} times (* and +)")
    return re.compile(text)


def _repeats(tree: Any, inside: bool) -> int:
    total = 0
    for kind, detail in tree:
        if kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT):
            _, most, body = detail
            wide = most > _BOUND
            if inside and most > 1:
                raise InvalidInput("repeats what repeats itself, which may take for ever")
            total += wide + _repeats(body, inside or wide or most > 1)
        elif kind in (kinds.GROUPREF, kinds.GROUPREF_EXISTS, kinds.ASSERT, kinds.ASSERT_NOT):
            raise InvalidInput("looks back or ahead, which is not offered here")
        elif kind is kinds.SUBPATTERN:
            total += _repeats(detail[3], inside)
        elif kind is kinds.BRANCH:
            total += sum(_repeats(branch, inside) for branch in detail[1])
        elif kind is kinds.ATOMIC_GROUP:
            total += _repeats(detail, inside)
    return total


def search(text: str, pattern: str) -> str | None:
    """The first group (or all) of the first line that begins with a match; None without one."""
    expression = compiled(pattern)
    for line in text.splitlines()[:_LINES]:
        if found := expression.match(line[:_LINE]):
            return (found[1] if expression.groups else found[0]) or ""
    return None


def unlike(text: str, pattern: str) -> tuple[int, str] | None:
    """(number, line) of the first line that is not wholly a match. A line after one that ends in a backslash belongs to
    that one, and one that is too long to be looked at counts as a match."""
    expression, goes_on = compiled(pattern), False
    for number, line in enumerate(text.splitlines()[:_LINES], 1):
        before, goes_on = goes_on, line.endswith("\\")
        if not before and len(line) <= _LINE and not expression.fullmatch(line):
            return number, line
    return None
