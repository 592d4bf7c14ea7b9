"""Docker's flags for containers, as text, to what the runtime knows: a defined set; all others are refused by name.

The forms are those of `docker run`: https://docs.docker.com/reference/cli/docker/container/run/
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paas.errors import InvalidInput
from paas.model import Mount, Restart
from paas.names import shown
from paas.runtime import asking
from paas.runtime.mounting import mounted, target, volume
from paas.runtime.refusals import REFUSED
from paas.runtime.spec import MemoryMount, Rlimit
from paas.system.signals import signal_number

_RLIMITS = (*("core", "cpu", "data", "fsize", "locks", "memlock", "nofile", "nproc", "rss", "sigpending", "stack"),)
"""Not those of priorities and realtime: they are set from outside, and would count against everybody."""
_MOST_OPEN_FILES = 1 << 20
_NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Flags:
    """What some flags come to. Sizes in bytes, times in seconds; None and empty stand for what was not given."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    mounts: tuple[Mount, ...] = ()
    memory: int | None = None
    memory_swap: int | None = None
    """Memory and swap together; -1 for any amount."""
    memory_reservation: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    cap_drop: tuple[str, ...] = ()
    cap_add: tuple[str, ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Rlimit, ...] = ()
    read_only: bool = False
    tmpfs: tuple[MemoryMount, ...] = ()
    user: str | None = None
    hostname: str | None = None
    hosts: tuple[tuple[str, str], ...] = ()
    """Name, address."""
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    init: bool | None = None
    restart: Restart | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    pids: int | None = None
    entrypoint: str | None = None
    workdir: str | None = None
    networks: tuple[str, ...] = ()


def parse(options: Iterable[str], kept: Path) -> Flags:
    """Each option is one or more flags as a shell splits them; `kept` is where paas keeps directories by name.

    A flag given twice holds as given last, unless it is one that adds up. Raises InvalidInput, without values of
    variables in the message.
    """
    found = Flags()
    for option in options:
        for name, value in words(option):
            found = _KNOWN[name](found, value, kept)
    return found


def words(option: str) -> list[tuple[str, str]]:
    """(flag, value) for each flag of an option, under the flag's long name. Raises InvalidInput."""
    try:
        queue = shlex.split(option)
    except ValueError:
        raise InvalidInput("The option has a quote that is not closed") from None
    if not queue:
        raise InvalidInput("The option is empty")
    found = []
    while queue:
        word = queue.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("--") and len(word) > 2 and word[:2] in _SHORT:
            name, equals, value = word[:2], "=", word[2:].removeprefix("=")
        name = _SHORT.get(name, name)
        if name in REFUSED:
            raise InvalidInput(f"{name} is refused: {REFUSED[name]}")
        if name in _SWITCHES:
            if value not in ("", "true", "false"):
                raise InvalidInput(f"{name} takes no value")
            found.append((name, value or "true"))
            continue
        if name not in _KNOWN:
            raise InvalidInput(
                f"{shown(name)} is not a flag of containers here", hint="Known: " + " ".join(sorted(_KNOWN))
            )
        if not equals:
            if not queue:
                raise InvalidInput(f"{name} needs a value")
            value = queue.pop(0)
        found.append((name, value))
    return found


# -- values -------------------------------------------------------------------------------------------------------

Setter = Callable[[Flags, str, Path], Flags]


def _value(name: str, read: Callable[[str], Any]) -> Setter:
    return lambda found, text, kept: replace(found, **{name: read(text)})


def _added(name: str, read: Callable[[str], Any]) -> Setter:
    def add(found: Flags, text: str, kept: Path) -> Flags:
        more: dict[str, Any] = {name: (*getattr(found, name), read(text))}
        return replace(found, **more)

    return add


def _switch(name: str) -> Setter:
    return _value(name, lambda text: text == "true")


def _env(found: Flags, text: str, kept: Path) -> Flags:
    if "=" not in text:
        raise InvalidInput(f"--env {shown(text)} has no value", hint="Write --env KEY=VALUE; config:set does as well.")
    return replace(found, env={**found.env, **asking.variables([text], {})})


def _label(found: Flags, text: str, kept: Path) -> Flags:
    return replace(found, labels={**found.labels, **asking.labels([text])})


def _volume(found: Flags, text: str, kept: Path) -> Flags:
    return _with_mount(found, volume(text, kept))


def _mount(found: Flags, text: str, kept: Path) -> Flags:
    """type=bind,source=/srv/x,target=/x[,readonly], type=volume, type=tmpfs[,tmpfs-size=64m]."""
    fields = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        fields[{"src": "source", "destination": "target", "dst": "target", "ro": "readonly"}.get(key, key)] = (
            value if equals else "true"
        )
    kind = fields.pop("type", "volume")
    where = target(fields.pop("target", ""))
    if kind == "tmpfs":
        size = asking.size(fields.pop("tmpfs-size")) if "tmpfs-size" in fields else None
        fields.pop("tmpfs-mode", None)
        made = replace(found, tmpfs=(*found.tmpfs, MemoryMount(where, size)))
    elif kind in ("bind", "volume") and fields.get("source"):
        source = fields.pop("source")
        if (kind == "bind") != source.startswith("/"):
            raise InvalidInput(f"--mount: {shown(source)} is not what type={kind} mounts")
        read_only = fields.pop("readonly", "false") in ("true", "1")
        made = _with_mount(found, mounted(source, where, kept, read_only=read_only))
    else:
        raise InvalidInput(
            f"--mount {shown(text)} is not understood", hint="type=bind|volume|tmpfs,source=...,target=..."
        )
    if fields:
        raise InvalidInput(f"--mount has no {shown(next(iter(fields)))} here")
    return made


def _with_mount(found: Flags, mount: Mount) -> Flags:
    return replace(found, mounts=(*(other for other in found.mounts if other.target != mount.target), mount))


def _tmpfs(found: Flags, text: str, kept: Path) -> Flags:
    where, _, options = text.partition(":")
    size = None
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            size = asking.size(value)
        elif key not in ("rw", "noexec", "exec", "nosuid", "nodev", "mode"):
            raise InvalidInput(f"--tmpfs has no option {shown(key)} here", hint="Example: --tmpfs /tmp:size=64m")
    return replace(found, tmpfs=(*found.tmpfs, MemoryMount(target(where), size)))


def _ulimit(text: str) -> Rlimit:
    """`nofile=1024[:2048]`; -1 or `unlimited` for none."""
    name, equals, values = text.partition("=")
    soft, colon, hard = values.partition(":")

    def number(word: str) -> int:
        if word in ("-1", "unlimited"):
            return 2**64 - 1
        if not (word.isascii() and word.isdigit() and len(word) < 20):
            raise InvalidInput(f"--ulimit {shown(text)} is not of the form NAME=SOFT[:HARD]")
        return int(word)

    if not equals or name not in _RLIMITS:
        raise InvalidInput(f"--ulimit has no {shown(name)}", hint=f"Known: {' '.join(_RLIMITS)}")
    low, high = number(soft), number(hard if colon else soft)
    if low > high:
        raise InvalidInput(f"--ulimit {name}: the soft limit is above the hard one")
    if name == "nofile":
        low, high = min(low, _MOST_OPEN_FILES), min(high, _MOST_OPEN_FILES)
    return Rlimit(f"RLIMIT_{name.upper()}", low, high)


def _host(text: str) -> tuple[str, str]:
    name, _, address = text.replace("=", ":", 1).partition(":")
    return asking.hostname(name), _address(address.strip("[]"))


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidInput(f"{shown(text)} is not an IP address") from None


def _signal(text: str) -> str:
    signal_number(text)
    return text


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
            raise InvalidInput(f"{shown(text)} is not a number from {least} to {most}")
        return int(text)

    return read


def _workdir(text: str) -> str:
    if not text.startswith("/") or "\0" in text:
        raise InvalidInput("The working directory has to be an absolute path", hint="Example: --workdir /srv")
    return text


def _plain(text: str) -> str:
    if not text or not text.isprintable():
        raise InvalidInput(f"{shown(text)} is no value for this flag")
    return text


def swap(text: str) -> int:
    return -1 if text == "-1" else asking.memory(text)


def _security(found: Flags, text: str, kept: Path) -> Flags:
    if text not in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"):
        raise InvalidInput(
            f"--security-opt {shown(text)} is refused: the walls around containers are the same for all",
            hint="Only no-new-privileges is known, and it holds anyway.",
        )
    return found


def _network_mode(found: Flags, text: str, kept: Path) -> Flags:
    if text in ("host", "none", "bridge") or text.startswith("container:"):
        raise InvalidInput(
            f"--network {text} is refused: each container has a network of its own, and nginx reaches it there",
            hint="Name a network made with network:create.",
        )
    return replace(found, networks=(*found.networks, network_name(text)))


def network_name(text: str) -> str:
    """The name of a network: Docker's rule. Raises InvalidInput."""
    if not _NETWORK.fullmatch(text) or text in ("host", "none", "bridge", "own"):
        hint = "Use letters, digits, '_', '.' and '-'; not host, none or bridge."
        raise InvalidInput(f"{shown(text)} is not a name for a network", hint=hint)
    return text


_KNOWN: dict[str, Setter] = {
    "--add-host": _added("hosts", _host),
    "--cap-add": _added("cap_add", asking.capability),
    "--cap-drop": _added("cap_drop", asking.capability),
    "--cpu-shares": _value("cpu_shares", _number(2, 262144)),
    "--cpus": _value("cpus", asking.cpus),
    "--dns": _added("dns", _address),
    "--dns-search": _added("dns_search", asking.hostname),
    "--entrypoint": _value("entrypoint", str),
    "--env": _env,
    "--hostname": _value("hostname", asking.hostname),
    "--init": _switch("init"),
    "--label": _label,
    "--memory": _value("memory", asking.memory),
    "--memory-reservation": _value("memory_reservation", asking.memory),
    "--memory-swap": _value("memory_swap", swap),
    "--mount": _mount,
    "--network": _network_mode,
    "--no-init": lambda found, text, kept: replace(found, init=text != "true"),
    "--pids-limit": _value("pids", _number(4, 1 << 22)),
    "--read-only": _switch("read_only"),
    "--restart": _value("restart", asking.restart),
    "--security-opt": _security,
    "--shm-size": _value("shm_size", asking.size),
    "--stop-signal": _value("stop_signal", _signal),
    "--stop-timeout": _value("stop_timeout", _number(0, 86400)),
    "--tmpfs": _tmpfs,
    "--ulimit": _added("ulimits", _ulimit),
    "--user": _value("user", _plain),
    "--volume": _volume,
    "--workdir": _value("workdir", _workdir),
}
_SWITCHES = ("--init", "--no-init", "--read-only")
_SHORT = {
    "-c": "--cpu-shares",
    "-e": "--env",
    "-h": "--hostname",
    "-l": "--label",
    "-m": "--memory",
    "-u": "--user",
    "-v": "--volume",
    "-w": "--workdir",
    "-p": "--publish",
    "-P": "--publish-all",
    "-d": "--detach",
    "-i": "--interactive",
    "-t": "--tty",
    "--net": "--network",
}
