"""Releases as the JSON of their columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paas.model import PHASES, AppSettings, Mount, PortMap, Process, Release
from paas.names import AppName, Hostname, ProcessType
from paas.state import declared
from paas.state.database import Row


def port_words(ports: Iterable[PortMap]) -> list[list[str | int]]:
    return [[p.scheme, p.host, p.container] for p in ports]


def mount_words(mounts: Iterable[Mount]) -> list[list[Any]]:
    return [[str(m.source), m.target, m.read_only, m.processes, m.phases, m.entry, m.subpath] for m in mounts]


def read_mounts(words: Iterable[Sequence[Any]]) -> tuple[Mount, ...]:
    found = []
    for source, target, read_only, *more in words:
        processes, phases, entry, subpath = more or ((), PHASES, "", "")
        found.append(Mount(Path(source), target, read_only, tuple(processes), tuple(phases), entry, subpath))
    return tuple(found)


def settings_words(release: Release) -> dict[str, Any]:
    """What is JSON in `settings`. The app's own config vars are kept as the names of those that are not its own."""
    own = release.settings
    return {
        "made_with": dict(release.made_with),
        "properties": dict(release.properties),
        "inherited": sorted(key for key in release.config if key not in own.config),
        "ports": port_words(own.ports),
        "mounts": mount_words(own.mounts),
        "scale": dict(own.scale),
        "domains": None if own.domains is None else list(own.domains),
        "own": dict(own.properties),
        "declared": declared.words(release.declared),
    }


def read(name: AppName, row: Row, config: Mapping[str, str], settings: Mapping[str, Any]) -> Release:
    """A row of the table; `config` and `settings` are what its encrypted columns say."""
    ports = tuple(PortMap(*entry) for entry in json.loads(row["ports"]))
    found_mounts = read_mounts(json.loads(row["mounts"]))
    processes = json.loads(row["processes"])
    own = AppSettings(
        config={key: value for key, value in config.items() if key not in settings.get("inherited", ())},
        ports=tuple(PortMap(*entry) for entry in settings.get("ports", ())),
        mounts=read_mounts(settings["mounts"]) if "mounts" in settings else found_mounts,
        scale={ProcessType(k): n for k, n in settings.get("scale", {k: n for k, n, _ in processes}).items()},
        domains=None if settings.get("domains") is None else tuple(map(Hostname, settings["domains"])),
        properties=settings.get("own", {}),
    )
    return Release(
        app=name,
        number=row["number"],
        image_id=row["image"],
        config=config,
        processes=tuple(
            Process(ProcessType(kind), count, None if command is None else tuple(command))
            for kind, count, command in processes
        ),
        ports=ports,
        mounts=found_mounts,
        commit=row["git_commit"],
        created=row["created"],
        who=row["who"],
        why=row["why"],
        made_with=settings.get("made_with", {}),
        properties=settings.get("properties", {}),
        settings=own,
        declared=declared.read(settings.get("declared", {})),
    )
