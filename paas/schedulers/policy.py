"""How an app's instances are checked and retired: what its release has been set to, else the defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from paas.declared import Check
from paas.model import Release
from paas.names import ProcessType

NOUN = "checks"
ALL = "_all_"
ATTEMPTS, WAIT, TIMEOUT = 3, 5.0, 5.0
"""Dokku's defaults, times in seconds."""
WORKER_UPTIME = 1.0
"""Seconds a process without a port or checks must stay up; nothing but time can show that it did not fail at once."""
_DURATION = re.compile(r"(\d{1,9})([smh]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Policy:
    """`skipped` are process types that are not waited for, `disabled` those whose old instances end first."""

    skipped: frozenset[str] = frozenset()
    disabled: frozenset[str] = frozenset()
    attempts: int = ATTEMPTS
    wait: float = WAIT
    timeout: float = TIMEOUT
    default_wait: float = WORKER_UPTIME
    retire: float | None = None
    """Seconds an old instance has to finish its connections; None: the machine's setting."""

    def waits_for(self, process: ProcessType) -> bool:
        return not (self.skipped | self.disabled) & {process, ALL}

    def ends_first(self, process: ProcessType) -> bool:
        return bool(self.disabled & {process, ALL})

    def complete(self, check: Check) -> Check:
        """A check with a value for everything that it leaves open."""
        return replace(
            check,
            attempts=check.attempts or self.attempts,
            wait=check.wait or self.wait,
            timeout=check.timeout or self.timeout,
        )


def policy_of(release: Release) -> Policy:
    """The texts of the properties were checked when they were set."""

    def seconds(key: str) -> float | None:
        match = _DURATION.fullmatch((release.property(f"{NOUN}:{key}") or "").lower())
        return float(int(match[1]) * _UNITS[match[2]]) if match else None

    def names(key: str) -> frozenset[str]:
        return frozenset(filter(None, (release.property(f"{NOUN}:{key}") or "").split(",")))

    return Policy(
        skipped=names("skipped-list"),
        disabled=names("disabled-list"),
        attempts=int(release.property(f"{NOUN}:attempts") or ATTEMPTS),
        wait=seconds("wait") or WAIT,
        timeout=seconds("timeout") or TIMEOUT,
        default_wait=seconds("default-wait") or WORKER_UPTIME,
        retire=seconds("wait-to-retire"),
    )
