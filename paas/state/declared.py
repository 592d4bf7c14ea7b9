"""What a commit declares, as the JSON that is kept with its release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from paas.declared import Check, CronTask, Declared
from paas.names import ProcessType


def words(value: Declared) -> dict[str, Any]:
    return {
        "checks": {kind: [asdict(check) for check in checks] for kind, checks in value.checks.items()},
        "cron": [asdict(task) for task in value.cron],
        "formation": dict(value.formation),
        "config": dict(value.config),
        "max_parallel": dict(value.max_parallel),
    }


def read(value: Mapping[str, Any]) -> Declared:
    """The reverse of `words`; releases of older versions have nothing."""
    return Declared(
        checks={ProcessType(kind): tuple(map(_check, checks)) for kind, checks in value.get("checks", {}).items()},
        cron=tuple(CronTask(**{**task, "command": tuple(task["command"])}) for task in value.get("cron", ())),
        formation={ProcessType(kind): count for kind, count in value.get("formation", {}).items()},
        config=value.get("config", {}),
        max_parallel={ProcessType(kind): count for kind, count in value.get("max_parallel", {}).items()},
    )


def _check(value: Mapping[str, Any]) -> Check:
    sequences = {
        "command": tuple(value["command"]),
        "on_failure": tuple(value["on_failure"]),
        "headers": tuple((name, text) for name, text in value["headers"]),
    }
    return Check(**{**value, **sequences})
