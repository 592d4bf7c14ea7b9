"""Instructions that change the image's config and no file."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from functools import singledispatch

from paas.build.dockerfile import instructions as ins
from paas.build.stage import Stage
from paas.errors import InvalidInput
from paas.names import port_number

_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)


@singledispatch
def apply(instruction: ins.Instruction, stage: Stage) -> None:
    """Change the stage's config as the instruction says. Raises DockerfileError."""
    raise stage.error(instruction.span, f"{instruction.source.split()[0]} is not known here")


@apply.register
def _cmd(instruction: ins.Cmd, stage: Stage) -> None:
    stage.set(cmd=_words(instruction.command, stage))
    stage.cmd_is_own = True
    stage.note(instruction.source)


@apply.register
def _entrypoint(instruction: ins.Entrypoint, stage: Stage) -> None:
    stage.set(entrypoint=_words(instruction.command, stage))
    if not stage.cmd_is_own:
        stage.set(cmd=None)
    stage.note(instruction.source)


def _words(command: ins.CommandForm, stage: Stage) -> tuple[str, ...]:
    return (*stage.shell, *command.words) if command.for_shell else command.words


@apply.register
def _env(instruction: ins.Env, stage: Stage) -> None:
    """All values of one line see the variables as they were before it."""
    values = {
        stage.expand(key, instruction.span): stage.expand(value, instruction.span) for key, value in instruction.pairs
    }
    stage.set(env={**stage.config.env, **values})
    stage.note(instruction.source)


@apply.register
def _label(instruction: ins.Label, stage: Stage) -> None:
    values = {
        stage.expand(key, instruction.span): stage.expand(value, instruction.span) for key, value in instruction.pairs
    }
    stage.set(labels={**stage.config.labels, **values})
    stage.note(instruction.source)


def declare(instruction: ins.Arg, stage: Stage, given: Mapping[str, str], outer: Mapping[str, str]) -> None:
    """ARG: the value given to the build, else the default, else that of an ARG before the first FROM."""
    for name, default in instruction.arguments:
        value = given.get(name)
        if value is None and default is not None:
            value = stage.expand(default, instruction.span)
        if value is None:
            value = outer.get(name)
        if value is not None:
            stage.arguments[name] = value
    stage.note(instruction.source)


@apply.register
def _user(instruction: ins.User, stage: Stage) -> None:
    stage.set(user=stage.expand(instruction.value, instruction.span))
    stage.note(instruction.source)


@apply.register
def _stopsignal(instruction: ins.Stopsignal, stage: Stage) -> None:
    value = stage.expand(instruction.value, instruction.span).upper()
    known = value.isdigit() and 1 <= int(value) <= 64
    name = "SIG" + value.removeprefix("SIG")
    if not known and name not in signal.Signals.__members__:
        raise stage.error(instruction.span, f"{value!r} is not a signal", "Examples: SIGTERM, SIGQUIT, 9")
    stage.set(stop_signal=value if known else name)
    stage.note(instruction.source)


@apply.register
def _maintainer(instruction: ins.Maintainer, stage: Stage) -> None:
    stage.set(author=instruction.value)
    stage.note(instruction.source)


@apply.register
def _expose(instruction: ins.Expose, stage: Stage) -> None:
    ports = list(stage.config.exposed_ports)
    for word in instruction.ports:
        for text in stage.expand_words(word, instruction.span):
            match = _PORT.fullmatch(text)
            if not match:
                raise stage.error(instruction.span, f"{text!r} is not a port", "Examples: 80, 53/udp, 8000-8010")
            try:
                first = port_number(match[1])
                last = port_number(match[2] or match[1])
            except InvalidInput as error:
                raise stage.error(instruction.span, error.message, error.hint) from None
            ports += [f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1)]
    stage.set(exposed_ports=tuple(dict.fromkeys(ports)))
    stage.note(instruction.source)


@apply.register
def _volume(instruction: ins.Volume, stage: Stage) -> None:
    paths = [stage.expand(path, instruction.span) for path in instruction.paths]
    stage.set(volumes=tuple(dict.fromkeys((*stage.config.volumes, *paths))))
    stage.note(instruction.source)


@apply.register
def _shell(instruction: ins.Shell, stage: Stage) -> None:
    stage.shell = instruction.words
    stage.set(shell=instruction.words)
    stage.note(instruction.source)


@apply.register
def _healthcheck(instruction: ins.Healthcheck, stage: Stage) -> None:
    stage.set(healthcheck=instruction.check)
    stage.note(instruction.source)


@apply.register
def _onbuild(instruction: ins.Onbuild, stage: Stage) -> None:
    stage.set(onbuild=(*stage.config.onbuild, instruction.trigger))
    stage.note(instruction.source)
