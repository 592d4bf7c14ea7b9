"""Errors that point at the Dockerfile's lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.errors import BuildFailed

_AROUND = 2
_MOST = 20
_WIDEST = 160


@dataclass(frozen=True, slots=True)
class Span:
    """First and last line of an instruction, from 1."""

    first: int
    last: int


class ExpansionError(BuildFailed):
    """What is wrong with a word; the caller knows the line."""


class DockerfileError(BuildFailed):
    """`Dockerfile:7: message`, then the lines around with `>>>` before those that are meant."""

    def __init__(
        self, filename: str, lines: Sequence[str], span: Span, message: str, *, hint: str | None = None
    ) -> None:
        super().__init__(f"{filename}:{span.first}: {message}\n{excerpt(lines, span)}", hint=hint)
        self.span = span
        self.reason = message


def excerpt(lines: Sequence[str], span: Span) -> str:
    """The lines of a span, and two before and after, numbered; of a long span only its beginning."""
    shown = list[str]()
    for number in range(max(1, span.first - _AROUND), min(len(lines), span.last + _AROUND) + 1):
        if len(shown) == _MOST:
            shown.append("     | ...")
            break
        mark = ">>>" if span.first <= number <= span.last else "   "
        line = lines[number - 1]
        line = line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"
        shown.append(f"{number:4d} | {mark} {line}".rstrip())
    return "\n".join(shown)
