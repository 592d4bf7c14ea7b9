"""From a line to its typed instruction.

After the Dockerfile reference and BuildKit's `frontend/dockerfile/instructions`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.durations import seconds
from paas.build.dockerfile.errors import Span
from paas.build.dockerfile.heredocs import marker
from paas.build.dockerfile.line import Line, did_you_mean
from paas.build.dockerfile.lines import LogicalLine, Text
from paas.build.dockerfile.mounts import mount
from paas.build.dockerfile.words import SPACE, key_values, split_first, split_plain, split_words
from paas.model import Healthcheck

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_ARGUMENT_NAME = re.compile(r"[^\s$'\"\\`=]+")
_NO_TRIGGERS = ("ONBUILD", "FROM", "MAINTAINER")
_SHORTEST = 0.001
"""Seconds: the shortest time a health check may have, where it is not 0 for the default."""


def instruction(text: Text, logical: LogicalLine) -> ins.Instruction:
    """Raises DockerfileError."""
    line = Line(text, logical)
    parser = _PARSERS.get(line.keyword)
    if parser is None:
        if not line.keyword:
            raise line.error("the line continues nothing")
        hint = did_you_mean(line.keyword, _PARSERS) or "Known: " + ", ".join(sorted(_PARSERS))
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


def _command_form(line: Line) -> ins.CommandForm:
    rest = line.need("a command")
    words = line.json(rest)
    return ins.CommandForm((rest,), for_shell=True) if words is None else ins.CommandForm(tuple(words), for_shell=False)


def _run(line: Line) -> ins.Run:
    line.take_flags("network", "security", "device", repeatable=("mount",))
    if line.flag("device"):
        raise line.error("RUN --device is not supported: builds have no devices")
    mounts = tuple(mount(line, value) for value in line.flags("mount"))
    network = _choice(line, "network", "default", "none", "host")
    security = _choice(line, "security", "sandbox", "insecure")
    form = _command_form(line)
    if not form.for_shell and not form.words:
        raise line.error("RUN needs a command")
    return ins.Run(line.span, line.source, form, line.heredocs, mounts, network, security)


def _choice(line: Line, flag: str, default: str, *others: str) -> str:
    value = line.flag(flag) or default
    known = (default, *others)
    if value not in known:
        hint = did_you_mean(value, known) or "Known: " + ", ".join(known)
        raise line.error(f"--{flag}={value[:40]} is not known", hint)
    return value


def _cmd(line: Line) -> ins.Cmd:
    line.take_flags()
    return ins.Cmd(line.span, line.source, _command_form(line))


def _entrypoint(line: Line) -> ins.Entrypoint:
    line.take_flags()
    return ins.Entrypoint(line.span, line.source, _command_form(line))


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


def _copy_words(line: Line) -> tuple[tuple[str, ...], str]:
    """Sources that are no here-documents, and the destination. Spaces in them need the JSON form."""
    rest = line.need("a source and a destination")
    listed = line.json(rest)
    words = split_plain(rest) if listed is None else listed
    if len(words) < 2:
        raise line.error(f"{line.keyword} needs at least one source and a destination")
    *sources, destination = words
    if listed is None and line.heredocs:
        if marker(destination):
            raise line.error(f"a here-document cannot be the destination of {line.keyword}")
        sources = [source for source in sources if not marker(source)]
    return tuple(sources), destination


def _copy(line: Line) -> ins.Copy:
    line.take_flags("from", "chown", "chmod", "parents", "link", repeatable=("exclude",))
    sources, destination = _copy_words(line)
    return ins.Copy(
        line.span,
        line.source,
        sources,
        destination,
        line.heredocs,
        line.flag("from"),
        line.flag("chown"),
        line.flag("chmod"),
        line.flags("exclude"),
        bool(line.switch("parents")),
        bool(line.switch("link")),
    )


def _add(line: Line) -> ins.Add:
    line.take_flags("chown", "chmod", "link", "checksum", "keep-git-dir", "unpack", repeatable=("exclude",))
    sources, destination = _copy_words(line)
    return ins.Add(
        line.span,
        line.source,
        sources,
        destination,
        line.heredocs,
        "",
        line.flag("chown"),
        line.flag("chmod"),
        line.flags("exclude"),
        False,
        bool(line.switch("link")),
        line.flag("checksum"),
        bool(line.switch("keep-git-dir")),
        line.switch("unpack"),
    )


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


def _shell(line: Line) -> ins.Shell:
    line.take_flags()
    words = line.json(line.need("a JSON list"))
    if not words:
        raise line.error("SHELL needs a JSON list", 'Example: SHELL ["/bin/bash", "-c"]')
    return ins.Shell(line.span, line.source, tuple(words))


def _healthcheck(line: Line) -> ins.Healthcheck:
    line.take_flags("interval", "timeout", "start-period", "start-interval", "retries")
    keyword, rest = split_first(line.need("CMD and a command, or NONE"))
    if keyword.upper() == "NONE":
        if rest:
            raise line.error("HEALTHCHECK NONE is followed by nothing")
        return ins.Healthcheck(line.span, line.source, Healthcheck(("NONE",)))
    words = line.json(rest)
    if keyword.upper() != "CMD" or not rest or words == []:
        raise line.error("HEALTHCHECK is followed by CMD and a command, or NONE")
    retries = line.flag("retries") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", retries):
        raise line.error("--retries is a number from 0")
    check = Healthcheck(
        ("CMD-SHELL", rest) if words is None else ("CMD", *words),
        interval=_duration(line, "interval") or 30.0,
        timeout=_duration(line, "timeout") or 30.0,
        start_period=_duration(line, "start-period"),
        retries=int(retries) or 3,
    )
    return ins.Healthcheck(line.span, line.source, check, _duration(line, "start-interval"))


def _duration(line: Line, name: str) -> float:
    text = line.flag(name)
    if not text:
        return 0.0
    value = seconds(text)
    if value is None:
        raise line.error(f"--{name}={text[:40]} is not a duration", "Write it as 30s, 1m30s or 500ms.")
    if value and value < _SHORTEST:
        raise line.error(f"--{name}={text[:40]} is shorter than 1ms")
    return value


def _onbuild(line: Line) -> ins.Onbuild:
    line.take_flags()
    text = line.need("an instruction")
    trigger(line.text, LogicalLine(line.span, text, line.heredocs))  # refused now rather than later
    documents = "".join(f"\n{document.content}{document.name}" for document in line.heredocs)
    return ins.Onbuild(line.span, line.source, text + documents)


_PARSERS: dict[str, Callable[[Line], ins.Instruction]] = {
    "FROM": _from,
    "RUN": _run,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _pairs(ins.Env),
    "LABEL": _pairs(ins.Label),
    "ARG": _arg,
    "COPY": _copy,
    "ADD": _add,
    "WORKDIR": _word(ins.Workdir, "a path"),
    "USER": _word(ins.User, "a user"),
    "STOPSIGNAL": _word(ins.Stopsignal, "a signal"),
    "MAINTAINER": _word(ins.Maintainer, "a name"),
    "EXPOSE": _expose,
    "VOLUME": _volume,
    "SHELL": _shell,
    "HEALTHCHECK": _healthcheck,
    "ONBUILD": _onbuild,
}
