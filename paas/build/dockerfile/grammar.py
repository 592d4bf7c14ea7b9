"""From a line to its typed instruction.

After the Dockerfile reference and BuildKit's `frontend/dockerfile/instructions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from paas.build.dockerfile import command_grammar, copy_grammar
from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import Span
from paas.build.dockerfile.line import Line, did_you_mean
from paas.build.dockerfile.lines import LogicalLine, Text
from paas.build.dockerfile.words import SPACE, key_values, split_first, split_plain, split_words

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_ARGUMENT_NAME = re.compile(r"[^\s$'\"\\`=]+")
_NO_TRIGGERS = ("ONBUILD", "FROM", "MAINTAINER")


def instruction(text: Text, logical: LogicalLine) -> ins.Instruction:
    """Raises DockerfileError."""
    line = Line(text, logical)
    parser = _PARSERS.get(line.keyword)
    if parser is None:
        if not line.keyword:
            raise line.error("the line continues nothing")
        hint = did_you_mean(line.keyword, KEYWORDS) or "Known: " + ", ".join(sorted(KEYWORDS))
        raise line.error(f"{line.keyword[:40]!r} is not an instruction", hint)
    return parser(line)


def trigger(text: Text, logical: LogicalLine) -> ins.Instruction:
    """What may follow ONBUILD. Raises DockerfileError."""
    keyword = split_first(logical.text)[0].upper()
    if keyword in _NO_TRIGGERS:
        raise text.error(logical.span, f"ONBUILD cannot trigger {keyword}")
    return instruction(text, logical)


def _from(line: Line) -> ins.From:
    line.take_flags("platform")
    words = split_plain(line.need("an image"))
    platform = line.flag("platform")
    if len(words) == 1:
        return ins.From(line.span, line.source, words[0], platform, None)
    if len(words) != 3 or words[1].upper() != "AS":
        raise line.error("FROM is followed by an image and, at most, AS and a name", "Example: FROM debian AS base")
    if not _STAGE_NAME.fullmatch(words[2].lower()):
        raise line.error(
            f"{words[2]!r} cannot be a stage's name", "It begins with a letter; then letters, digits, '-', '_', '.'."
        )
    return ins.From(line.span, line.source, words[0], platform, words[2].lower())


def _pairs(kind: type[ins.Env] | type[ins.Label]) -> Callable[[Line], ins.Instruction]:
    def parse(line: Line) -> ins.Instruction:
        line.take_flags()
        found = key_values(line.need("a name and a value"), line.text.escape)
        if isinstance(found, str):
            raise line.error(found)
        pairs, legacy = found
        return kind(line.span, line.source, tuple(pairs), legacy)

    return parse


def _arg(line: Line) -> ins.Arg:
    line.take_flags()
    found: list[tuple[str, str | None]] = []
    for word in split_words(line.need("a name"), line.text.escape):
        name, equals, default = word.partition("=")
        if not _ARGUMENT_NAME.fullmatch(name):
            raise line.error(f"{name!r} cannot be a build argument's name")
        found.append((name, default if equals else None))
    return ins.Arg(line.span, line.source, tuple(found))


def _word(kind: Callable[[Span, str, str], ins.Instruction], what: str) -> Callable[[Line], ins.Instruction]:
    def parse(line: Line) -> ins.Instruction:
        line.take_flags()
        return kind(line.span, line.source, line.need(what))

    return parse


def _expose(line: Line) -> ins.Expose:
    line.take_flags()
    return ins.Expose(line.span, line.source, tuple(split_plain(line.need("a port"))))


def _volume(line: Line) -> ins.Volume:
    line.take_flags()
    rest = line.need("a path")
    listed = line.json(rest)
    paths = tuple(path.strip(SPACE) for path in (split_plain(rest) if listed is None else listed))
    if not paths or not all(paths):
        raise line.error("VOLUME needs paths that are not empty")
    return ins.Volume(line.span, line.source, paths)


def _onbuild(line: Line) -> ins.Onbuild:
    line.take_flags()
    text = line.need("an instruction")
    trigger(line.text, LogicalLine(line.span, text, line.heredocs))  # refused now rather than later
    documents = "".join(f"\n{document.content}{document.name}" for document in line.heredocs)
    return ins.Onbuild(line.span, line.source, text + documents)


_PARSERS: dict[str, Callable[[Line], ins.Instruction]] = {
    "FROM": _from,
    "RUN": command_grammar.run,
    "CMD": command_grammar.cmd,
    "ENTRYPOINT": command_grammar.entrypoint,
    "ENV": _pairs(ins.Env),
    "LABEL": _pairs(ins.Label),
    "ARG": _arg,
    "COPY": copy_grammar.copy,
    "ADD": copy_grammar.add,
    "WORKDIR": _word(ins.Workdir, "a path"),
    "USER": _word(ins.User, "a user"),
    "STOPSIGNAL": _word(ins.Stopsignal, "a signal"),
    "MAINTAINER": _word(ins.Maintainer, "a name"),
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "SHELL": command_grammar.shell,
    "HEALTHCHECK": command_grammar.healthcheck,
    "ONBUILD": _onbuild,
}
KEYWORDS = tuple(_PARSERS)
