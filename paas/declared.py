"""What a commit declares about its app: checks, tasks at certain times, how many instances. Part of its release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from paas.names import ProcessType


@dataclass(frozen=True, slots=True)
class Check:
    """A healthcheck that the repository declares. It has exactly one of path, command, uptime and listening.

    Times are in seconds. None stands for what was not said: the app's settings (checks:set) or the default hold then.
    """

    kind: Literal["startup", "liveness", "readiness"]
    name: str = ""
    path: str = ""
    """Asked for with GET; an answer of 200 to 299 is good."""
    command: tuple[str, ...] = ()
    """Run in the container; status 0 is good."""
    uptime: float = 0.0
    """Good once the container has run so long."""
    listening: bool = False
    """Good once something listens on the port."""
    port: int | None = None
    scheme: Literal["http", "https"] = "http"
    headers: tuple[tuple[str, str], ...] = ()
    content: str = ""
    """What the answer has to contain."""
    attempts: int | None = None
    wait: float | None = None
    timeout: float | None = None
    initial_delay: float = 0.0
    warn: bool = False
    """A failure is told, and nothing else happens."""
    on_failure: tuple[str, ...] = ()
    """A command run in the container after a failure."""


@dataclass(frozen=True, slots=True)
class CronTask:
    """A command at certain times: five fields as in crontab(5), or @daily and the like."""

    command: tuple[str, ...]
    text: str
    """The command as it was written."""
    schedule: str
    concurrency: Literal["allow", "forbid", "replace"] = "allow"
    maintenance: bool = False
    """Not run for now."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a commit declares about its app, besides the processes' commands. It belongs to the release."""

    checks: Mapping[ProcessType, tuple[Check, ...]] = field(default_factory=dict)
    cron: tuple[CronTask, ...] = ()
    formation: Mapping[ProcessType, int] = field(default_factory=dict)
    """How many instances run. Where anything is said here, `ps:scale` is not asked."""
    config: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Config vars where the app itself has none of the same names."""
    max_parallel: Mapping[ProcessType, int] = field(default_factory=dict)
    """How many instances of a type a deploy starts at once; all, where nothing is said."""
