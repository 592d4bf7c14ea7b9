"""Parser directives: `# escape=`, `# syntax=`, `# check=` at the top of a Dockerfile. Pure.

After the Dockerfile reference ("Parser directives") and BuildKit's `frontend/dockerfile/parser/directives.go`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from paas.build.dockerfile.errors import DockerfileError, Span
from paas.build.dockerfile.words import SPACE

_DIRECTIVE = re.compile(r"#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(\S.*)")
_NAMES = ("syntax", "escape", "check")


@dataclass(frozen=True, slots=True)
class Directive:
    name: str
    value: str
    span: Span


def directives(filename: str, lines: Sequence[str]) -> dict[str, Directive]:
    """Those before everything else: a blank line, a comment or an instruction ends them.

    Raises DockerfileError for one that stands there twice. `syntax` is read and changes nothing: there is one front
    end only.
    """
    found: dict[str, Directive] = {}
    for number, line in enumerate(lines, start=1):
        match = _DIRECTIVE.fullmatch(line.strip(SPACE))
        if not match or match[1].lower() not in _NAMES:
            break
        name, span = match[1].lower(), Span(number, number)
        if name in found:
            raise DockerfileError(filename, lines, span, f"the directive {name} stands here twice")
        found[name] = Directive(name, match[2], span)
    return found


def escape_character(filename: str, lines: Sequence[str], directive: Directive | None) -> str:
    """Raises DockerfileError for what is neither `\\` nor a backtick."""
    if directive is None:
        return "\\"
    if directive.value not in ("\\", "`"):
        raise DockerfileError(filename, lines, directive.span, "the escape character is \\ or `")
    return directive.value
