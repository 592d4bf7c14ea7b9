"""Path patterns as Go's filepath.Match has them (`*`, `?`, `[a-z]`, `\\x`), and `**` across directories. Pure."""

from __future__ import annotations

import functools
import re

from paas.errors import InvalidInput

MAGIC = frozenset("*?[\\")


def is_pattern(text: str) -> bool:
    return any(char in MAGIC for char in text)


@functools.lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern for whole relative paths. Raises InvalidInput for one that is malformed."""
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            if pattern[at : at + 1] == "/":
                at += 1
                out.append("(?:.*/)?")
            else:
                out.append(".*")
        elif char == "*":
            out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            text, at = _char_class(pattern, at)
            out.append(text)
        elif char == "\\":
            if at >= len(pattern):
                raise _malformed(pattern)
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error:
        raise _malformed(pattern) from None


def _char_class(pattern: str, at: int) -> tuple[str, int]:
    negated = pattern[at : at + 1] in ("^", "!")
    at += negated
    out, first = "", True
    while at < len(pattern) and (pattern[at] != "]" or first):
        first = False
        char = pattern[at]
        at += 1
        if char == "\\" and at < len(pattern):
            char = pattern[at]
            at += 1
            out += re.escape(char)
        elif char == "-" and out:
            out += "-"
        else:
            out += re.escape(char)
    if at >= len(pattern):
        raise _malformed(pattern)
    return f"(?!/)[{'^' if negated else ''}{out}]", at + 1


def _malformed(pattern: str) -> InvalidInput:
    return InvalidInput(f"{pattern!r} is not a valid pattern", hint="Check its brackets and backslashes.")
