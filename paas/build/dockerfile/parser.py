"""From logical lines to stages of typed instructions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.durations import seconds
from paas.build.dockerfile.errors import DockerfileError, Span
from paas.build.dockerfile.lines import LogicalLine, Text, decode, logical_lines, without_markers
from paas.build.dockerfile.words import json_list, key_values, split_flags, split_words
from paas.model import Healthcheck
from paas.names import nearest

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_DISPLAY = 200


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """`global_args` are the ARGs before the first FROM."""

    text: Text
    global_args: tuple[ins.Arg, ...]
    stages: tuple[ins.Stage, ...]

    def error(self, span: Span, message: str, hint: str | None = None) -> DockerfileError:
        return self.text.error(span, message, hint)


def parse(data: bytes, filename: str = "Dockerfile") -> Dockerfile:
    """Parse a whole Dockerfile. Raises DockerfileError, which shows the line."""
    text = decode(data, filename)
    global_args: list[ins.Arg] = []
    stages: list[ins.Stage] = []
    base: ins.From | None = None
    body: list[ins.Instruction] = []
    for line in logical_lines(text):
        instruction = _parse_line(text, line)
        if isinstance(instruction, ins.From):
            if base is not None:
                stages.append(ins.Stage(len(stages), base, tuple(body)))
            base, body = instruction, []
            if base.alias is not None and any(stage.name == base.alias for stage in stages):
                raise text.error(line.span, f"two stages are named {base.alias}")
        elif base is not None:
            body.append(instruction)
        elif isinstance(instruction, ins.Arg):
            global_args.append(instruction)
        else:
            word = line.text.split(None, 1)[0].upper()
            raise text.error(line.span, f"{word} stands before the first FROM", "Only ARG may.")
    if base is None:
        raise DockerfileError(
            filename,
            text.lines,
            Span(1, 1),
            "the file has no FROM",
            hint="Begin with a line such as: FROM debian:bookworm",
        )
    stages.append(ins.Stage(len(stages), base, tuple(body)))
    return Dockerfile(text, tuple(global_args), tuple(stages))


def parse_trigger(trigger: str) -> ins.Instruction:
    """An ONBUILD trigger that an image carries."""
    text = Text("ONBUILD", tuple(trigger.splitlines()), "\\")
    return _parse_line(text, LogicalLine(Span(1, 1), trigger, ()))


class _Line:
    """One logical line while it is parsed."""

    def __init__(self, text: Text, line: LogicalLine) -> None:
        word, _, rest = line.text.partition(" ") if " " in line.text.split("\t")[0] else line.text.partition("\t")
        self.text = text
        self.span = line.span
        self.heredocs = line.heredocs
        self.keyword = word.upper()
        self.rest = rest.strip()
        shown = " ".join(line.text.split())
        self.source = shown if len(shown) <= _DISPLAY else shown[: _DISPLAY - 1] + "…"
        self.flags: dict[str, list[str | None]] = {}

    def error(self, message: str, hint: str | None = None) -> DockerfileError:
        return self.text.error(self.span, message, hint)

    def take_flags(self, *known: str) -> None:
        """Split leading flags off; unknown ones are refused."""
        found, self.rest = split_flags(self.rest)
        for name, value in found:
            if name not in known:
                close = nearest(name, known)
                hint = (
                    f"Did you mean --{close[0]}?"
                    if close
                    else "Known: " + (", ".join(f"--{k}" for k in known) or "none")
                )
                raise self.error(f"{self.keyword} has no flag --{name}", hint)
            self.flags.setdefault(name, []).append(value)

    def flag(self, name: str) -> str:
        values = self.flags.get(name) or [""]
        if len(values) > 1:
            raise self.error(f"--{name} is given twice")
        if values[0] is None:
            raise self.error(f"--{name} needs a value: --{name}=...")
        return values[0]

    def switch(self, name: str) -> bool:
        values = self.flags.get(name)
        if values is None:
            return False
        if values[-1] not in (None, "true", "false"):
            raise self.error(f"--{name} is true or false")
        return values[-1] != "false"

    def need(self, what: str) -> str:
        if not self.rest:
            raise self.error(f"{self.keyword} needs {what}")
        return self.rest


def _parse_line(text: Text, logical: LogicalLine) -> ins.Instruction:
    line = _Line(text, logical)
    parser = _PARSERS.get(line.keyword)
    if parser is None:
        close = nearest(line.keyword, _PARSERS)
        hint = f"Did you mean {close[0]}?" if close else "Known: " + ", ".join(sorted(_PARSERS))
        raise line.error(f"{line.keyword[:40]!r} is not an instruction", hint)
    return parser(line)


def _from(line: _Line) -> ins.From:
    line.take_flags("platform")
    words = line.need("an image").split()
    if len(words) == 1:
        return ins.From(line.span, line.source, words[0], line.flag("platform"), None)
    if len(words) != 3 or words[1].upper() != "AS":
        raise line.error("FROM is followed by an image and, at most, AS and a name")
    if not _STAGE_NAME.fullmatch(words[2].lower()):
        raise line.error(f"{words[2]!r} cannot be a stage's name", "Use letters, digits, '-', '_' and '.'.")
    return ins.From(line.span, line.source, words[0], line.flag("platform"), words[2].lower())


def _command_form(line: _Line, what: str) -> ins.CommandForm:
    rest = line.need(what)
    words = json_list(rest)
    return ins.CommandForm((rest,), for_shell=True) if words is None else ins.CommandForm(tuple(words), for_shell=False)


def _run(line: _Line) -> ins.Run:
    line.take_flags("mount", "network", "security")
    mounts = tuple(_mount(line, value or "") for value in line.flags.get("mount", ()))
    network = line.flag("network") or "default"
    if network not in ("default", "none", "host"):
        raise line.error(f"--network={network} is not known", "Known: default, none, host")
    form = _command_form(line, "a command")
    if not form.for_shell and not form.words:
        raise line.error("RUN needs a command")
    return ins.Run(line.span, line.source, form, line.heredocs, mounts, network, line.flag("security") or "sandbox")


def _mount(line: _Line, text: str) -> dict[str, str]:
    found = {"type": "bind"}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not key:
            raise line.error("--mount needs key=value pairs", "Example: --mount=type=cache,target=/root/.cache")
        found[key.lower()] = value if equals else "true"
    if found["type"] not in ("bind", "cache", "tmpfs", "secret", "ssh"):
        raise line.error(f"--mount=type={found['type']} is not known", "Known: bind, cache, tmpfs, secret, ssh")
    return found


def _cmd(line: _Line) -> ins.Cmd:
    return ins.Cmd(line.span, line.source, _command_form(line, "a command"))


def _entrypoint(line: _Line) -> ins.Entrypoint:
    return ins.Entrypoint(line.span, line.source, _command_form(line, "a command"))


def _pairs(line: _Line) -> tuple[tuple[str, str], ...]:
    found = key_values(line.need("a name and a value"), line.text.escape)
    if isinstance(found, str):
        raise line.error(found)
    return tuple(found)


def _arg(line: _Line) -> ins.Arg:
    found: list[tuple[str, str | None]] = []
    for word in split_words(line.need("a name"), line.text.escape):
        name, equals, default = word.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise line.error(f"{name!r} cannot be a build argument's name")
        found.append((name, default if equals else None))
    return ins.Arg(line.span, line.source, tuple(found))


def _copy_parts(line: _Line) -> tuple[tuple[str, ...], str]:
    rest = line.need("a source and a destination")
    words = json_list(rest)
    if words is None:
        words = split_words(without_markers(rest) if line.heredocs else rest, line.text.escape)
    if not words or (len(words) < 2 and not line.heredocs):
        raise line.error(f"{line.keyword} needs at least one source and a destination")
    return tuple(words[:-1]), words[-1]


def _copy(line: _Line) -> ins.Copy:
    line.take_flags("from", "chown", "chmod", "exclude", "parents", "link")
    sources, destination = _copy_parts(line)
    return ins.Copy(
        line.span,
        line.source,
        sources,
        destination,
        line.heredocs,
        line.flag("from"),
        line.flag("chown"),
        line.flag("chmod"),
        tuple(value or "" for value in line.flags.get("exclude", ())),
        line.switch("parents"),
        line.switch("link"),
    )


def _add(line: _Line) -> ins.Add:
    line.take_flags("chown", "chmod", "exclude", "link", "checksum", "keep-git-dir")
    sources, destination = _copy_parts(line)
    return ins.Add(
        line.span,
        line.source,
        sources,
        destination,
        line.heredocs,
        "",
        line.flag("chown"),
        line.flag("chmod"),
        tuple(value or "" for value in line.flags.get("exclude", ())),
        False,
        line.switch("link"),
        line.flag("checksum"),
        line.switch("keep-git-dir"),
    )


def _word(kind: Callable[[Span, str, str], ins.Instruction], what: str) -> Callable[[_Line], ins.Instruction]:
    return lambda line: kind(line.span, line.source, line.need(what))


def _expose(line: _Line) -> ins.Expose:
    return ins.Expose(line.span, line.source, tuple(line.need("a port").split()))


def _volume(line: _Line) -> ins.Volume:
    rest = line.need("a path")
    paths = json_list(rest)
    return ins.Volume(line.span, line.source, tuple(rest.split() if paths is None else paths))


def _shell(line: _Line) -> ins.Shell:
    words = json_list(line.need("a JSON list"))
    if not words:
        raise line.error("SHELL needs a JSON list", 'Example: SHELL ["/bin/bash", "-c"]')
    return ins.Shell(line.span, line.source, tuple(words))


def _healthcheck(line: _Line) -> ins.Healthcheck:
    line.take_flags("interval", "timeout", "start-period", "start-interval", "retries")
    keyword, _, rest = line.need("CMD and a command, or NONE").partition(" ")
    if keyword.upper() == "NONE":
        return ins.Healthcheck(line.span, line.source, Healthcheck(("NONE",)))
    if keyword.upper() != "CMD" or not rest.strip():
        raise line.error("HEALTHCHECK is followed by CMD and a command, or NONE")
    words = json_list(rest)
    test = ("CMD-SHELL", rest.strip()) if words is None else ("CMD", *words)
    retries = line.flag("retries") or "3"
    if not retries.isdigit() or int(retries) < 1:
        raise line.error("--retries is a number from 1")
    times = {name: _duration(line, name) for name in ("interval", "timeout", "start-period")}
    check = Healthcheck(
        test,
        interval=times["interval"] or 30.0,
        timeout=times["timeout"] or 30.0,
        start_period=times["start-period"],
        retries=int(retries),
    )
    return ins.Healthcheck(line.span, line.source, check)


def _duration(line: _Line, name: str) -> float:
    text = line.flag(name)
    if not text:
        return 0.0
    value = seconds(text)
    if value is None:
        raise line.error(f"--{name}={text} is not a duration", "Write it as 30s, 1m30s or 500ms.")
    return value


def _onbuild(line: _Line) -> ins.Onbuild:
    trigger = line.need("an instruction")
    keyword = trigger.split(None, 1)[0].upper()
    if keyword in ("ONBUILD", "FROM", "MAINTAINER"):
        raise line.error(f"ONBUILD cannot trigger {keyword}")
    _parse_line(line.text, LogicalLine(line.span, trigger, line.heredocs))  # refused now rather than later
    return ins.Onbuild(line.span, line.source, trigger)


_PARSERS: dict[str, Callable[[_Line], ins.Instruction]] = {
    "FROM": _from,
    "RUN": _run,
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": lambda line: ins.Env(line.span, line.source, _pairs(line)),
    "LABEL": lambda line: ins.Label(line.span, line.source, _pairs(line)),
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
