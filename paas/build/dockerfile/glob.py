"""Path patterns as Go's filepath.Match has them (`*`, `?`, `[a-z]`, `\\x`), and `**` across directories. Pure.

After moby/patternmatcher. Patterns are hostile input: they are not given to a backtracking matcher but run as an
automaton whose states, one for each part of the pattern, are the bits of one number. A path costs one step for each
of its characters, whatever the pattern.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from paas.errors import InvalidInput

MAGIC = frozenset("*?[\\")
_LONGEST = 4096
_REMEMBERED = 256
"""Characters whose steps a pattern keeps: paths use few, and hostile ones are not to fill the memory."""


def is_pattern(text: str) -> bool:
    return any(char in MAGIC for char in text)


@dataclass(frozen=True, slots=True)
class _Literal:
    char: str

    def fits(self, char: str) -> bool:
        return char == self.char


@dataclass(frozen=True, slots=True)
class _AnyInName:
    """`?`"""

    def fits(self, char: str) -> bool:
        return char != "/"


@dataclass(frozen=True, slots=True)
class _Class:
    """`[a-z]`. As in Go, `/` is not special in it."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool

    def fits(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.negated


@dataclass(frozen=True, slots=True)
class _Repeat:
    """`*`, within a name; and `**` at the end, across directories."""

    across: bool

    def fits(self, char: str) -> bool:
        return self.across or char != "/"


@dataclass(frozen=True, slots=True)
class _Directories:
    """`**` elsewhere: nothing, or anything that ends with `/`. The state of having begun follows, see `Pattern`."""


_Part = _Literal | _AnyInName | _Class | _Repeat | _Directories


class Pattern:
    """A compiled pattern for relative paths."""

    def __init__(self, parts: list[_Part]) -> None:
        literal = all(isinstance(part, _Literal) for part in parts)
        self._literal = "".join(part.char for part in parts if isinstance(part, _Literal)) if literal else None
        self._needle = _longest_literal(parts)
        # States: one before each part, and the last after all; a _Directories has a second one for having begun.
        self._parts = [
            state for part in parts for state in ((part, part) if isinstance(part, _Directories) else (part,))
        ]
        self._accepting = 1 << len(self._parts)
        self._skip_one = self._skip_two = self._begun = 0
        at = 0
        for part in parts:
            if isinstance(part, _Repeat):
                self._skip_one |= 1 << at
            elif isinstance(part, _Directories):
                self._skip_one |= 1 << at
                self._skip_two |= 1 << at
                self._begun |= 1 << at + 1
                at += 1
            at += 1
        self._start = self._skipped(1)
        self._steps: dict[str, tuple[int, int]] = {}

    def fullmatch(self, path: str) -> bool:
        """Whether the pattern is for this very path."""
        if self._literal is not None:
            return path == self._literal
        return self._needle in path and self._run(path, parents=False)

    def covers(self, path: str) -> bool:
        """Whether the pattern is for this path or a directory that it is in."""
        if self._literal is not None:
            return path == self._literal or path.startswith(self._literal + "/")
        return self._needle in path and self._run(path, parents=True)

    def _run(self, path: str, *, parents: bool) -> bool:
        states = self._start
        for char in path:
            if parents and char == "/" and states & self._accepting:
                return True
            moving, staying = self._steps.get(char) or self._step(char)
            states = self._skipped((states & moving) << 1 | states & staying)
            if not states:
                return False
        return bool(states & self._accepting)

    def _skipped(self, states: int) -> int:
        """With the states that are reached without a character."""
        while True:
            more = states | (states & self._skip_one) << 1 | (states & self._skip_two) << 2
            if more == states:
                return states
            states = more

    def _step(self, char: str) -> tuple[int, int]:
        """The states that a character moves on, and those that it may leave where they are."""
        moving = 0
        staying = self._begun
        for at, part in enumerate(self._parts):
            if isinstance(part, _Directories):
                continue
            if part.fits(char):
                if isinstance(part, _Repeat):
                    staying |= 1 << at
                else:
                    moving |= 1 << at
        if char == "/":
            moving |= self._begun
        if len(self._steps) < _REMEMBERED:
            self._steps[char] = moving, staying
        return moving, staying


@functools.lru_cache(maxsize=4096)
def compile_pattern(pattern: str) -> Pattern:
    """A pattern for whole relative paths. Raises InvalidInput for one that is malformed."""
    if len(pattern) > _LONGEST:
        raise InvalidInput(f"a pattern is {len(pattern)} characters long; the limit is {_LONGEST}")
    parts: list[_Part] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1
            # Moby lets a leading `**` stand for any text where the rest is plain: `**.txt`, but not `**?.txt`.
            plain = at == 2 and not is_pattern(pattern[at:]) and not pattern.startswith("/", at)
            at += pattern.startswith("/", at)
            parts.append(_Repeat(across=True) if at == len(pattern) or plain else _Directories())
        elif char == "*":
            parts.append(_Repeat(across=False))
        elif char == "?":
            parts.append(_AnyInName())
        elif char == "[":
            part, at = _char_class(pattern, at)
            parts.append(part)
        else:
            if char == "\\":
                char, at = _escaped(pattern, at)
            parts.append(_Literal(char))
    return Pattern(_without_repeated(parts))


def _char_class(pattern: str, at: int) -> tuple[_Class, int]:
    """What stands from `at` up to a `]`; at least one character or range, `-` and `]` in it escaped."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", at)):
        low, at = _class_char(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _class_char(pattern, at + 1)
        if high < low:
            raise _malformed(pattern)
        ranges.append((low, high))
    return _Class(tuple(ranges), negated), at + 1


def _class_char(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern) or pattern[at] in "-]":
        raise _malformed(pattern)
    return _escaped(pattern, at + 1) if pattern[at] == "\\" else (pattern[at], at + 1)


def _escaped(pattern: str, at: int) -> tuple[str, int]:
    if at >= len(pattern):
        raise _malformed(pattern)
    return pattern[at], at + 1


def _without_repeated(parts: list[_Part]) -> list[_Part]:
    """The same repetition twice in a row is that repetition."""
    repeats = (_Repeat, _Directories)
    return [part for at, part in enumerate(parts) if not (at and isinstance(part, repeats) and part == parts[at - 1])]


def _longest_literal(parts: list[_Part]) -> str:
    """A text that every match contains."""
    runs = [""]
    for part in parts:
        if isinstance(part, _Literal):
            runs[-1] += part.char
        else:
            runs.append("")
    return max(runs, key=len)


def _malformed(pattern: str) -> InvalidInput:
    return InvalidInput(f"{pattern!r} is not a valid pattern", hint="Check its brackets and backslashes.")
