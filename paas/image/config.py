"""ImageConfig in the words of the OCI image specification (config.md), and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from paas.model import Healthcheck, HistoryEntry, ImageConfig

_NANO = 1_000_000_000


def to_oci(config: ImageConfig) -> dict[str, Any]:
    """The `config` object of an OCI image config; fields that are not set are left out."""
    check = config.healthcheck
    fields: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Env": [f"{key}={value}" for key, value in config.env.items()],
        "Entrypoint": _list(config.entrypoint),
        "Cmd": _list(config.cmd),
        "Volumes": {volume: {} for volume in config.volumes},
        "WorkingDir": config.workdir,
        "Labels": dict(config.labels),
        "StopSignal": config.stop_signal,
        "Shell": _list(config.shell),
        "OnBuild": list(config.onbuild),
        "Healthcheck": check
        and _given(
            {
                "Test": list(check.test),
                "Interval": round(check.interval * _NANO),
                "Timeout": round(check.timeout * _NANO),
                "StartPeriod": round(check.start_period * _NANO),
                "StartInterval": round(check.start_interval * _NANO),
                "Retries": check.retries,
            }
        ),
    }
    return _given(fields)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in ("", None, {}, [], 0)}


def from_oci(fields: Mapping[str, Any], author: str = "") -> ImageConfig:
    """The reverse of `to_oci`."""
    check = fields.get("Healthcheck")
    env = dict(entry.partition("=")[::2] for entry in fields.get("Env") or ())
    return ImageConfig(
        env=env,
        cmd=_tuple(fields.get("Cmd")),
        entrypoint=_tuple(fields.get("Entrypoint")),
        user=fields.get("User") or "",
        workdir=fields.get("WorkingDir") or "",
        exposed_ports=tuple(fields.get("ExposedPorts") or ()),
        labels=dict(fields.get("Labels") or {}),
        volumes=tuple(fields.get("Volumes") or ()),
        stop_signal=fields.get("StopSignal") or "",
        shell=_tuple(fields.get("Shell")),
        healthcheck=Healthcheck(
            test=tuple(check.get("Test") or ()),
            interval=(check.get("Interval") or 0) / _NANO,
            timeout=(check.get("Timeout") or 0) / _NANO,
            start_period=(check.get("StartPeriod") or 0) / _NANO,
            start_interval=(check.get("StartInterval") or 0) / _NANO,
            retries=check.get("Retries") or 0,
        )
        if check
        else None,
        onbuild=tuple(fields.get("OnBuild") or ()),
        author=author,
    )


def dumps(config: ImageConfig) -> str:
    """Canonical JSON: the same config always gives the same text. The order of exposed ports is kept."""
    return json.dumps({"author": config.author, "config": to_oci(config)}, separators=(",", ":"))


def loads(text: str) -> ImageConfig:
    value = json.loads(text)
    return from_oci(value["config"], value["author"])


def dump_history(history: tuple[HistoryEntry, ...]) -> str:
    return json.dumps([asdict(entry) for entry in history], separators=(",", ":"))


def load_history(text: str) -> tuple[HistoryEntry, ...]:
    return tuple(HistoryEntry(**entry) for entry in json.loads(text))


def _list(value: tuple[str, ...] | None) -> list[str] | None:
    return None if value is None else list(value)


def _tuple(value: list[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)
