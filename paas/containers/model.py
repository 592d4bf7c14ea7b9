"""What a container was asked to be: pure data, kept with it as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from paas.model import Mount, Restart
from paas.runtime.spec import Net


@dataclass(frozen=True, slots=True)
class Options:
    """What `run` was told. `memory` in bytes; None stands for the image's own, or no limit."""

    command: tuple[str, ...] = ()
    entrypoint: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    workdir: str | None = None
    user: str | None = None
    hostname: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    memory: int | None = None
    cpus: float | None = None
    read_only: bool = False
    network: Net = "own"
    capabilities: tuple[str, ...] | None = None
    restart: Restart = Restart()
    terminal: bool = False
    stdin: bool = False
    detached: bool = False
    init: bool = False
    remove: bool = False
    """Remove it once it has ended."""
    anonymous: tuple[str, ...] = ()
    """Targets of the mounts whose volumes were made for this container."""


def dumps(options: Options) -> str:
    return json.dumps(
        {**asdict(options), "mounts": [[str(m.source), m.target, m.read_only, m.subpath] for m in options.mounts]}
    )


def loads(text: str) -> Options:
    value = json.loads(text)
    capabilities = value["capabilities"]
    return Options(
        **{
            **value,
            "command": tuple(value["command"]),
            "mounts": tuple(map(_mount, value["mounts"])),
            "capabilities": None if capabilities is None else tuple(capabilities),
            "restart": Restart(**value["restart"]),
            "anonymous": tuple(value.get("anonymous", ())),
        }
    )


def _mount(words: list[Any]) -> Mount:
    source, target, read_only, *subpath = words
    return Mount(Path(source), target, read_only, subpath=subpath[0] if subpath else "")
