"""Here-documents of RUN, COPY and ADD: `<<EOF`, `<<-EOF`, `3<<EOF`, `<<"EOF"`. Pure.

After BuildKit's `frontend/dockerfile/parser`: only a word that begins with `<<` (or a descriptor's number) opens one,
and not one inside of quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.build.dockerfile.errors import DockerfileError, ExpansionError, Span
from paas.build.dockerfile.expansion import analyse
from paas.build.dockerfile.instructions import Heredoc
from paas.build.dockerfile.words import SPACE

_MARKER = re.compile(r"[0-9]*<<(-?)([^<]+)")


@dataclass(frozen=True, slots=True)
class Marker:
    name: str
    chomp: bool
    """`<<-`: leading tabs are removed."""
    expand: bool


def markers(line: str) -> list[Marker]:
    """The here-documents a line opens, in order."""
    try:
        words = analyse(line, {}, raw_quotes=True, raw_escapes=True, keep_unset=True).words
    except ExpansionError:
        return []  # a shell may well understand what is not a word here
    return [found for found in map(marker, words) if found is not None]


def marker(word: str) -> Marker | None:
    """What a single word opens."""
    match = _MARKER.fullmatch(word)
    if match is None:
        return None
    try:
        plain = analyse(match[2], {}, keep_unset=True).words
        quoted = analyse(match[2], {}, raw_quotes=True, keep_unset=True).words
    except ExpansionError:
        return None
    if len(plain) != 1 or len(quoted) != 1:
        return None
    return Marker(plain[0], bool(match[1]), expand=_quotes(plain[0]) == _quotes(quoted[0]))


def _quotes(text: str) -> int:
    return text.count("'") + text.count('"')


def bodies(
    filename: str, lines: tuple[str, ...], opened: list[Marker], span: Span, position: int
) -> tuple[tuple[Heredoc, ...], int]:
    """The texts that follow an instruction from the line `position` (from 0) on, and the position after them.

    Raises DockerfileError where an end is missing.
    """
    found = []
    for opens in opened:
        start, body = position, list[str]()
        while True:
            if position >= len(lines):
                hint = _near_end(lines[start:], start, opens) or f"Put a line {opens.name} after its text."
                raise DockerfileError(filename, lines, span, f"the here-document {opens.name} has no end", hint=hint)
            line = lines[position].lstrip("\t") if opens.chomp else lines[position]
            position += 1
            if line.rstrip("\r") == opens.name:
                break
            body.append(f"{line}\n")
        found.append(Heredoc(opens.name, "".join(body), opens.expand))
    return tuple(found), position


def _near_end(lines: tuple[str, ...], start: int, opens: Marker) -> str | None:
    """A line that was likely meant to be the end."""
    for number, line in enumerate(lines, start=start + 1):
        if line.strip(SPACE).lower() == opens.name.lower():
            return f"Did you mean line {number}? Its text must be {opens.name} and nothing else."
    return None
