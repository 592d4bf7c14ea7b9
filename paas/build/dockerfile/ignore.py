"""`.dockerignore`: what of a context is left out. Pure.

Patterns hold for the whole context, a match of a directory covers what is in it, `!` takes back, the last match wins.
After the Dockerfile reference (".dockerignore file") and moby/patternmatcher.
"""

from __future__ import annotations

import posixpath

from paas.build.dockerfile.glob import Pattern, compile_pattern
from paas.build.dockerfile.words import SPACE
from paas.errors import InvalidInput


class IgnoreFile:
    def __init__(self, rules: tuple[tuple[Pattern, bool], ...]) -> None:
        self._rules = rules
        self._has_exceptions = any(negated for _, negated in rules)

    @classmethod
    def parse(cls, data: bytes, filename: str = ".dockerignore") -> IgnoreFile:
        """Raises InvalidInput, with the line, for a malformed pattern."""
        rules = []
        text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        for number, raw in enumerate(text.split("\n"), start=1):
            line = raw.strip(SPACE)
            if not line or raw.startswith("#"):  # a `#` further in is a character of the pattern
                continue
            negated = line.startswith("!")
            try:
                rules.append((compile_pattern(_cleaned(line[negated:].strip(SPACE))), negated))
            except InvalidInput as error:
                raise InvalidInput(f"{filename}:{number}: {error.message}", hint=error.hint) from None
        return cls(tuple(rules))

    @property
    def is_empty(self) -> bool:
        return not self._rules

    @property
    def has_exceptions(self) -> bool:
        """Whether something inside an ignored directory may still be wanted."""
        return self._has_exceptions

    def ignored(self, path: str) -> bool:
        """Whether a path relative to the context is left out; the context itself never is."""
        if not self._rules or path in ("", "."):
            return False
        result = False
        for pattern, negated in self._rules:
            if result == negated and pattern.covers(path):
                result = not negated
        return result


def _cleaned(pattern: str) -> str:
    """As Go's filepath.Clean, without one leading slash: `/a/./b/` is `a/b`."""
    if not pattern:
        raise InvalidInput("'!' is not followed by a pattern")
    cleaned = posixpath.normpath(pattern)
    cleaned = cleaned[1:] if cleaned.startswith("//") else cleaned
    return cleaned[1:] if len(cleaned) > 1 and cleaned.startswith("/") else cleaned
