"""From the file's text to logical lines: directives, comments, continuations, here-documents.

After the Dockerfile reference and BuildKit's `frontend/dockerfile/parser`.
"""

from __future__ import annotations

from dataclasses import dataclass

from paas.build.dockerfile.directives import Directive, directives, escape_character
from paas.build.dockerfile.errors import DockerfileError, Span
from paas.build.dockerfile.heredocs import bodies, markers
from paas.build.dockerfile.instructions import Heredoc
from paas.build.dockerfile.words import SPACE, json_list, split_first, split_flags

LIMIT = 1 << 20
"""Bytes of the longest Dockerfile that is looked at."""
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """An instruction with its continuations joined; here-documents follow it in order."""

    span: Span
    text: str
    heredocs: tuple[Heredoc, ...]
    comment: str = ""
    """The comment right above it."""
    gap: int | None = None
    """The first empty line inside of it, which should not be there."""


@dataclass(frozen=True, slots=True)
class Text:
    filename: str
    lines: tuple[str, ...]
    escape: str
    check: Directive | None = None
    """`# check=`: which build checks are wanted."""
    directives: int = 0
    """Lines at the top that are directives, not comments."""

    def error(self, span: Span, message: str, hint: str | None = None) -> DockerfileError:
        return DockerfileError(self.filename, self.lines, span, message, hint=hint)


def decode(data: bytes, filename: str) -> Text:
    """Check and split the file. Raises DockerfileError for what is no text.

    Carriage returns stay at the ends of lines: here-documents keep theirs, as in BuildKit.
    """
    start = Span(1, 1)
    if len(data) > LIMIT:
        raise DockerfileError(filename, (), start, f"the file is {len(data)} bytes long; the limit is {LIMIT}")
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            raise DockerfileError(filename, (), Span(number, number), "the line is not UTF-8 text") from None
        if "\0" in text:
            raise DockerfileError(filename, (), Span(number, number), "the line contains a NUL byte")
    body = data.decode("utf-8").removeprefix("\ufeff").removesuffix("\n")
    lines = tuple(body.split("\n"))
    found = directives(filename, lines)
    check = found.get("check")
    if lines[0].startswith("#!"):
        # An interpreter line ends the directives for the parser, but not for the build checks.
        check = directives(filename, ("# syntax=none", *lines[1:])).get("check")
    return Text(filename, lines, escape_character(filename, lines, found.get("escape")), check, len(found))


def logical_lines(text: Text) -> list[LogicalLine]:
    """Join continued lines; comments and blank lines inside a continuation do not end it.

    Raises DockerfileError for a here-document without an end.
    """
    found: list[LogicalLine] = []
    position, comment = 0, ""
    while position < len(text.lines):
        line = text.lines[position].strip(SPACE)
        if not line or line.startswith("#"):
            comment = line[1:].strip(SPACE) if position >= text.directives else ""
            position += 1
            continue
        logical, position = _join(text, position, comment)
        found.append(logical)
        comment = ""
    return found


def _join(text: Text, position: int, comment: str) -> tuple[LogicalLine, int]:
    """The logical line that begins at a line that is neither blank nor a comment, and the position after it."""
    first, last, parts, gap = position, position, list[str](), None
    while position < len(text.lines):
        line = text.lines[position].rstrip("\r")
        bare = line.lstrip(SPACE)
        position += 1
        if parts and bare.startswith("#"):
            continue
        if parts and not bare:
            gap = gap or position
            continue
        last = position - 1
        part, continued = _continued(line if parts else bare, text.escape)
        parts.append(part)
        if not continued:
            break
    joined = "".join(parts)
    opened = markers(joined) if "<<" in joined and _may_have_heredocs(joined) else []
    span = Span(first + 1, last + 1)
    heredocs: tuple[Heredoc, ...] = ()
    if opened:
        heredocs, position = bodies(text.filename, text.lines, opened, span, position)
        span = Span(first + 1, position)
    return LogicalLine(span, joined.strip(SPACE), heredocs, comment, gap), position


def _continued(line: str, escape: str) -> tuple[str, bool]:
    """A line without its continuation character. A doubled one is an escaped character, not a continuation."""
    stripped = line.rstrip(" \t")
    if stripped.endswith(escape) and not stripped.endswith(escape * 2):
        return stripped[:-1], True
    return line, False


def _may_have_heredocs(line: str) -> bool:
    """RUN, COPY and ADD have them, below ONBUILD too; not where their words are a JSON list."""
    word, rest = split_first(line)
    if word.upper() == "ONBUILD":
        word, rest = split_first(rest)
    if word.upper() not in _WITH_HEREDOCS:
        return False
    try:
        return json_list(split_flags(rest)[1]) is None
    except ValueError:
        return False
