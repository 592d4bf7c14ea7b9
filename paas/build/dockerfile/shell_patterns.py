"""Patterns of `${X#p}`, `${X%p}` and `${X/p/r}`: `*` is any text, `?` any character, `\\` escapes. Pure.

After BuildKit's `frontend/dockerfile/shell`. Patterns and values are hostile input, so that no pattern is given to a
backtracking matcher as a whole. It is cut at its `*` into chunks of fixed length: the first one stands where matching
begins, each further one is best looked for at the earliest place after the one before, and the last one at the
earliest or the latest place, as a short or a long match is wanted. That is one search per chunk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from paas.build.dockerfile.errors import ExpansionError

_LONGEST_PATTERN = 1024
"""Bounds a search for a chunk with `?`, which may compare the whole chunk at every place."""

Chunk = tuple[str | None, ...]
"""Characters; None is any character."""


@dataclass(frozen=True)
class ShellPattern:
    chunks: tuple[Chunk, ...]
    """What stands between the `*`; never empty, but its first and last member may be."""

    @classmethod
    def parse(cls, text: str) -> ShellPattern:
        """Raises ExpansionError for an escape that means nothing, and for a pattern that is too long."""
        if len(text) > _LONGEST_PATTERN:
            raise ExpansionError(f"a pattern is {len(text)} characters long; the limit is {_LONGEST_PATTERN}")
        chunks: list[list[str | None]] = [[]]
        rest = iter(text)
        for char in rest:
            if char == "*":
                chunks.append([])
            elif char == "?":
                chunks[-1].append(None)
            elif char == "\\":
                escaped = next(rest, "")
                # `}` and `/` are escaped for the sake of `${}`; the others for the pattern's own.
                if escaped not in ("}", "/", "*", "?", "\\"):
                    raise ExpansionError(f"the pattern {text!r} escapes {escaped or 'nothing'!r}")
                chunks[-1].append(escaped)
            else:
                chunks[-1].append(char)
        last = len(chunks) - 1
        return cls(tuple(tuple(chunk) for at, chunk in enumerate(chunks) if chunk or at in (0, last)))

    def prefix(self, text: str, *, longest: bool, start: int = 0) -> int | None:
        """The end of a match that begins at `start`."""
        match = self._searches[0].match(text, start)
        if match is None or len(self.chunks) == 1:
            return match.end() if match else None
        end = match.end()
        for search in self._searches[1:-1]:
            match = search.search(text, end)
            if match is None:
                return None
            end = match.end()
        if longest:
            tail = self._reversed_last.search(text[end:][::-1])
            return len(text) - tail.start() if tail else None
        match = self._searches[-1].search(text, end)
        return match.end() if match else None

    def suffix(self, text: str, *, longest: bool) -> int | None:
        """The length of a match that ends where the text ends."""
        return self._reversed.prefix(text[::-1], longest=longest)

    def replaced(self, text: str, replacement: str, *, every: bool, longest: int) -> str:
        """The text with the first match, or all, replaced. Raises ExpansionError when it grows beyond `longest`."""
        out, size, at, last_end = list[str](), len(text), 0, -1
        while (found := self._find(text, at)) is not None:
            start, end = found
            if start == end == last_end:  # an empty match right behind another one is none
                if start == len(text):
                    break
                out.append(text[start])
                at, last_end = start + 1, -1
                continue
            out += [text[at:start], replacement]
            size += len(replacement)
            if size > longest:
                raise ExpansionError(f"the word becomes longer than {longest} characters")
            at = last_end = end
            if not every:
                break
        return "".join([*out, text[at:]])

    def _find(self, text: str, at: int) -> tuple[int, int] | None:
        """The leftmost match from `at` on, as long as can be.

        Where the first chunk stands first there is the most room for the others: no later place need be tried.
        """
        head = self._searches[0].search(text, at)
        end = self.prefix(text, longest=True, start=head.start()) if head else None
        return (head.start(), end) if head and end is not None else None

    @cached_property
    def _searches(self) -> tuple[re.Pattern[str], ...]:
        return tuple(_search(chunk) for chunk in self.chunks)

    @cached_property
    def _reversed(self) -> ShellPattern:
        return ShellPattern(tuple(chunk[::-1] for chunk in reversed(self.chunks)))

    @cached_property
    def _reversed_last(self) -> re.Pattern[str]:
        return _search(self.chunks[-1][::-1])


def _search(chunk: Chunk) -> re.Pattern[str]:
    """No repetition in it: nothing to backtrack into."""
    return re.compile("".join("." if char is None else re.escape(char) for char in chunk), re.DOTALL)
