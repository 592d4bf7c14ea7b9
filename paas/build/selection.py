"""What of a COPY's sources is taken: `--exclude`, and the parents that `--parents` keeps. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from paas.build.dockerfile.glob import compile_pattern, is_pattern
from paas.errors import InvalidInput
from paas.names import shown


class Exclusion:
    """`--exclude`: patterns for paths below the source, or for the name of a source that is a file."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.is_shallow = not any("/" in pattern.strip("/") or "**" in pattern for pattern in patterns)
        """Whether they can only be for what lies directly in the source."""
        self._patterns = [compile_pattern(posixpath.normpath(pattern.lstrip("/"))) for pattern in patterns]

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def covers(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._patterns)


@dataclass(frozen=True, slots=True)
class SourcePattern:
    """A source of COPY as it stands in the Dockerfile, made relative to the root."""

    text: str
    path: str
    """Normalised; '' is the root."""
    pivot: str
    """What of a match's path `--parents` cuts off: the part before `/./`, itself a pattern perhaps."""

    @classmethod
    def parse(cls, text: str) -> SourcePattern:
        """Raises InvalidInput for one that leads outside."""
        before, dot, _ = text.partition("/./")
        return cls(text, normal(text), normal(before) if dot else "")

    @property
    def is_pattern(self) -> bool:
        return is_pattern(self.path)

    def kept_parents(self, path: str) -> str:
        """The directories above `path` that `--parents` makes at the destination; '' for none."""
        cut = self.pivot.count("/") + 1 if self.pivot else 0
        return "/".join(path.split("/")[cut:-1])


def normal(pattern: str) -> str:
    """A path relative to the root, without `.` and doubled slashes. Raises InvalidInput for one that leads outside."""
    path = posixpath.normpath(pattern.lstrip("/")) if pattern.lstrip("/") else "."
    if path == ".." or path.startswith("../"):
        raise InvalidInput(
            f"{shown(pattern)} leads outside of what is built from", hint="COPY can only reach what lies inside."
        )
    return "" if path == "." else path
