"""Instructions that name a command: RUN, CMD, ENTRYPOINT, SHELL, HEALTHCHECK."""

from __future__ import annotations

import re

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.durations import seconds
from paas.build.dockerfile.line import Line, did_you_mean
from paas.build.dockerfile.mounts import mount
from paas.build.dockerfile.words import split_first
from paas.model import Healthcheck

_SHORTEST = 0.001
"""Seconds: the shortest time a health check may have, where it is not 0 for the default."""


def _command_form(line: Line) -> ins.CommandForm:
    rest = line.need("a command")
    words = line.json(rest)
    return ins.CommandForm((rest,), for_shell=True) if words is None else ins.CommandForm(tuple(words), for_shell=False)


def run(line: Line) -> ins.Run:
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


def cmd(line: Line) -> ins.Cmd:
    line.take_flags()
    return ins.Cmd(line.span, line.source, _command_form(line))


def entrypoint(line: Line) -> ins.Entrypoint:
    line.take_flags()
    return ins.Entrypoint(line.span, line.source, _command_form(line))


def shell(line: Line) -> ins.Shell:
    line.take_flags()
    words = line.json(line.need("a JSON list"))
    if not words:
        raise line.error("SHELL needs a JSON list", 'Example: SHELL ["/bin/bash", "-c"]')
    return ins.Shell(line.span, line.source, tuple(words))


def healthcheck(line: Line) -> ins.Healthcheck:
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
        interval=_duration(line, "interval"),
        timeout=_duration(line, "timeout"),
        start_period=_duration(line, "start-period"),
        start_interval=_duration(line, "start-interval"),
        retries=int(retries),
    )
    return ins.Healthcheck(line.span, line.source, check)


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
