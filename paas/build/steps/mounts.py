"""RUN --mount: from the words of the instruction to what the step's container mounts."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paas.build import keys
from paas.build.context import Context
from paas.build.dockerfile import instructions as ins
from paas.build.layering import Layering
from paas.build.options import BuildOptions
from paas.build.selection import normal
from paas.build.stage import Stage
from paas.build.steps.agent import relayed
from paas.build.steps.caches import CacheMounts
from paas.build.steps.copy import part_of_context
from paas.errors import InvalidInput
from paas.model import Layer, Mount
from paas.names import shown
from paas.runtime.spec import LayersMount, MemoryMount, SecretFile

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
From = Callable[[str], Sequence[Layer]]


@dataclass(slots=True)
class Mounted:
    """What a step mounts. `inputs` belongs to its cache key: what it may see, but no secret and no cache's content."""

    inputs: list[object] = field(default_factory=list)
    layers: list[LayersMount] = field(default_factory=list)
    memory: list[MemoryMount] = field(default_factory=list)
    secrets: list[SecretFile] = field(default_factory=list)
    caches: list[_Cache] = field(default_factory=list)
    agents: list[tuple[str, str]] = field(default_factory=list)
    """(path in the container, id of the agent)"""
    environment: dict[str, str] = field(default_factory=dict)
    """Secrets that are given as variables, and where agents listen."""


@dataclass(frozen=True, slots=True)
class _Cache:
    id: str
    target: str
    sharing: str
    read_only: bool
    mode: int
    uid: int
    gid: int


class StepMounts:
    """For one build."""

    def __init__(self, options: BuildOptions, context: Context, layering: Layering, caches: CacheMounts) -> None:
        self._options = options
        self._context = context
        self._layering = layering
        self._caches = caches

    def of(self, instruction: ins.Run, stage: Stage, find: From) -> Mounted:
        """Raises InvalidInput."""
        found = Mounted()
        for words in instruction.mounts:
            values = {key: stage.expand(value, instruction.span) for key, value in words.items()}
            match values["type"]:
                case "bind":
                    self._bind(values, stage, find, found)
                case "cache":
                    self._cache(values, stage, found)
                case "tmpfs":
                    found.memory.append(MemoryMount(_target(values, stage), _size(values.get("size", ""))))
                    found.inputs.append(["tmpfs", _target(values, stage)])
                case "secret":
                    self._secret(values, stage, found)
                case "ssh":
                    self._ssh(values, stage, found)
        return found

    @contextmanager
    def in_place(
        self, mounted: Mounted, cancelled: Callable[[], bool]
    ) -> Iterator[tuple[list[Mount], dict[str, Path]]]:
        """The caches, each locked as it asks for, and the agents' sockets, for as long as the step runs."""
        sockets = {target: self._options.agents[id] for target, id in mounted.agents}
        with relayed(sockets) as files, self._caches.taken(cancelled) as take:
            mounts = []
            for cache in mounted.caches:
                place = take(self._options.scope, cache.id, cache.sharing, (cache.mode, cache.uid, cache.gid))
                mounts.append(Mount(place, cache.target, cache.read_only))
            yield mounts, files

    def _bind(self, values: Mapping[str, str], stage: Stage, find: From, found: Mounted) -> None:
        source = values.get("source", "")
        if name := values.get("from", ""):
            layers = find(name)
            path = posixpath.normpath("/" + source).lstrip("/")
        else:
            layers, path = part_of_context(normal(source), self._context, self._layering)
        writable = values.get("readonly", "true") == "false"
        target = _target(values, stage)
        found.layers.append(LayersMount(target, tuple(layer.number for layer in layers), path, writable))
        found.inputs.append(["bind", target, path, writable, keys.chain(layer.id for layer in layers)])

    def _cache(self, values: Mapping[str, str], stage: Stage, found: Mounted) -> None:
        target = _target(values, stage)
        if values.get("from") or values.get("source"):
            raise InvalidInput("A cache mount begins empty here; from and source are not supported")
        sharing = values.get("sharing", "shared")
        read_only = values.get("readonly", "false") == "true"
        cache = _Cache(
            values.get("id") or target,
            target,
            sharing,
            read_only,
            _mode(values.get("mode", ""), 0o755),
            _id(values.get("uid", "")),
            _id(values.get("gid", "")),
        )
        found.caches.append(cache)
        found.inputs.append(["cache", cache.id, target, sharing, read_only])

    def _secret(self, values: Mapping[str, str], stage: Stage, found: Mounted) -> None:
        target, variable = values.get("target", ""), values.get("env", "")
        id = values.get("id") or posixpath.basename(target) or variable
        if not id:
            raise InvalidInput("A secret mount needs an id", hint="Example: --mount=type=secret,id=npm")
        found.inputs.append(["secret", id, target, variable])
        data = self._options.secrets.get(id)
        if data is None:
            if values.get("required", "false") == "true":
                raise InvalidInput(
                    f"The build was given no secret {shown(id)}",
                    hint=f"docker-options:add APP build '--secret id={id},env=VARIABLE', or --secret of paas build.",
                )
            return
        if variable:
            found.environment[variable] = data.decode("utf-8", "surrogateescape")
        if target or not variable:
            path = stage.absolute(target or f"/run/secrets/{id}")
            mode = _mode(values.get("mode", ""), 0o400)
            found.secrets.append(SecretFile(path, data, mode, _id(values.get("uid", "")), _id(values.get("gid", ""))))

    def _ssh(self, values: Mapping[str, str], stage: Stage, found: Mounted) -> None:
        id = values.get("id") or "default"
        target = stage.absolute(values.get("target") or f"/run/buildkit/ssh_agent.{len(found.agents)}")
        found.inputs.append(["ssh", id, target])
        if id not in self._options.agents:
            if values.get("required", "false") == "true":
                raise InvalidInput(f"The build was given no SSH agent {shown(id)}", hint="paas build --ssh default ...")
            return
        found.agents.append((target, id))
        found.environment.setdefault("SSH_AUTH_SOCK", target)


def _target(values: Mapping[str, str], stage: Stage) -> str:
    target = stage.absolute(values.get("target", "")).rstrip("/")
    if not values.get("target") or target in ("", "/"):
        raise InvalidInput("A mount needs a target that is not '/'")
    return target


def _mode(text: str, default: int) -> int:
    if not text:
        return default
    if not re.fullmatch(r"0?[0-7]{1,4}", text):
        raise InvalidInput(f"mode={text} is not an octal mode", hint="Example: mode=0755")
    return int(text, 8)


def _id(text: str) -> int:
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise InvalidInput(f"{shown(text)} is no user or group id", hint="Ids go from 0 to 65535.")
    return int(text)


def _size(text: str) -> int | None:
    match = re.fullmatch(r"(\d+)([bkmg]?)b?", text.lower())
    if text and not match:
        raise InvalidInput(f"size={text} is not a size", hint="Example: size=64m")
    return int(match[1]) * _SIZES[match[2]] if match else None
