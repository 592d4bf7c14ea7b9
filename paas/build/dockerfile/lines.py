"""From the file's text to logical lines: directives, comments, continuations, here-documents.

After the Dockerfile reference and BuildKit's `frontend/dockerfile/parser`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from paas.build.dockerfile.errors import DockerfileError, Span
from paas.build.dockerfile.instructions import Heredoc

LIMIT = 1 << 20
"""Bytes of the longest Dockerfile that is looked at."""
_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.*?)\s*")
_DIRECTIVES = ("syntax", "escape", "check")
_HEREDOC = re.compile(r"(?<![<\w])[0-9]*<<(-?)\s*(?:'([^'<>\s]+)'|\"([^\"<>\s]+)\"|([A-Za-z_0-9.]+))")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """An instruction with its continuations joined; here-documents follow it in order."""

    span: Span
    text: str
    heredocs: tuple[Heredoc, ...]


@dataclass(frozen=True, slots=True)
class Text:
    filename: str
    lines: tuple[str, ...]
    escape: str

    def error(self, span: Span, message: str, hint: str | None = None) -> DockerfileError:
        return DockerfileError(self.filename, self.lines, span, message, hint=hint)


def decode(data: bytes, filename: str) -> Text:
    """Check and split the file. Raises DockerfileError for what is no text."""
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
    lines = tuple(line.removesuffix("\r") for line in body.split("\n"))
    return Text(filename, lines, _escape(filename, lines))


def _escape(filename: str, lines: Sequence[str]) -> str:
    """Parser directives stand before everything else; only `escape` matters to parsing."""
    seen: set[str] = set()
    escape = "\\"
    for number, line in enumerate(lines, start=1):
        match = _DIRECTIVE.fullmatch(line.strip())
        if not match or match[1].lower() not in _DIRECTIVES:
            break
        name = match[1].lower()
        if name in seen:
            raise DockerfileError(filename, lines, Span(number, number), f"the directive {name} stands here twice")
        seen.add(name)
        if name == "escape":
            if match[2] not in ("\\", "`"):
                raise DockerfileError(filename, lines, Span(number, number), "the escape character is \\ or `")
            escape = match[2]
    return escape


def logical_lines(text: Text) -> list[LogicalLine]:
    """Join continued lines; comments and blank lines inside a continuation do not end it."""
    found: list[LogicalLine] = []
    position = 0
    while position < len(text.lines):
        if _is_blank_or_comment(text.lines[position]):
            position += 1
            continue
        first, joined, last = position, "", position
        while position < len(text.lines):
            line = text.lines[position]
            position += 1
            if position - 1 > first and _is_blank_or_comment(line):
                continue
            last = position - 1
            kept, continued = _continued(line if position - 1 > first else line.lstrip(), text.escape)
            joined += kept
            if not continued:
                break
        if not joined.strip():
            continue  # nothing but continuations
        span = Span(first + 1, last + 1)
        heredocs: tuple[Heredoc, ...] = ()
        if joined.split(None, 1)[0].upper() in _WITH_HEREDOCS:
            heredocs, position = _heredocs(text, joined, position)
            span = Span(first + 1, max(last + 1, position if heredocs else 0))
        found.append(LogicalLine(span, joined.strip(), heredocs))
    return found


def _continued(line: str, escape: str) -> tuple[str, bool]:
    stripped = line.rstrip(" \t")
    return (stripped[:-1], True) if stripped.endswith(escape) else (line, False)


def _is_blank_or_comment(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def _heredocs(text: Text, joined: str, position: int) -> tuple[tuple[Heredoc, ...], int]:
    """The bodies that follow a line, and the position after them."""
    found = []
    for match in _HEREDOC.finditer(joined):
        name = match[2] or match[3] or match[4]
        body, start = list[str](), position
        while True:
            if position >= len(text.lines):
                span = Span(start, start)
                raise text.error(span, f"the here-document {name} has no end", f"Put a line {name} after its text.")
            line = text.lines[position]
            position += 1
            bare = line.lstrip("\t") if match[1] else line
            if bare == name:
                break
            body.append(bare)
        found.append(Heredoc(name, "".join(f"{line}\n" for line in body), expand=match[4] is not None))
    return tuple(found), position


def without_markers(text: str) -> str:
    """A COPY or ADD line without its here-document markers."""
    return _HEREDOC.sub("", text)
