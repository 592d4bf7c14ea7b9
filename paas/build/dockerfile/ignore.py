"""`.dockerignore`: what of a context is left out. Pure.

Patterns hold for the whole context, a match of a directory covers what is in it, `!` takes back, the last match wins
(Dockerfile reference, ".dockerignore file").
"""

from __future__ import annotations

import posixpath
import re

from paas.build.dockerfile.glob import compile_pattern


class IgnoreFile:
    def __init__(self, rules: tuple[tuple[re.Pattern[str], bool], ...]) -> None:
        self._rules = rules
        self._has_exceptions = any(negated for _, negated in rules)

    @classmethod
    def parse(cls, data: bytes) -> IgnoreFile:
        """Raises InvalidInput for a malformed pattern."""
        rules = []
        for raw in data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").splitlines():
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            negated = line.startswith("!")
            pattern = posixpath.normpath(line.removeprefix("!").strip()).lstrip("/")
            if pattern not in ("", "."):
                rules.append((compile_pattern(pattern), negated))
        return cls(tuple(rules))

    @property
    def is_empty(self) -> bool:
        return not self._rules

    @property
    def has_exceptions(self) -> bool:
        """Whether something inside an ignored directory may still be wanted."""
        return self._has_exceptions

    def ignored(self, path: str) -> bool:
        """Whether a path relative to the context is left out."""
        if not self._rules:
            return False
        parts = path.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        result = False
        for pattern, negated in self._rules:
            if result == negated and any(pattern.fullmatch(prefix) for prefix in prefixes):
                result = not negated
        return result
