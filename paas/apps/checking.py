"""How apps are checked and retired, as set: checks:*. What it comes to is said by paas.schedulers.policy."""

from __future__ import annotations

from paas.apps.properties import Property, count, duration
from paas.errors import InvalidInput
from paas.names import ProcessType
from paas.schedulers.policy import ALL, ATTEMPTS, NOUN, TIMEOUT, WAIT, WORKER_UPTIME


def processes(text: str) -> str:
    """`web,worker`, or `_all_`. Raises InvalidInput."""
    for name in text.split(","):
        if name != ALL:
            ProcessType(name)
    return text


def _days(text: str) -> int:
    if (seconds := duration(text)) > 86400:
        raise InvalidInput("This is longer than a day")
    return seconds


SETTABLE = [
    Property(
        NOUN,
        "wait-to-retire",
        "how long an old instance may finish its connections (default: as the machine's drain_timeout says)",
        _days,
        "",
        released="live",
    ),
    Property(
        NOUN,
        "default-wait",
        "how long a process without a port or checks has to stay up",
        _days,
        int(WORKER_UPTIME),
        released="live",
    ),
    Property(NOUN, "attempts", "tries of a check that does not say", count, ATTEMPTS, released="live"),
    Property(NOUN, "wait", "time between tries of a check that does not say", _days, int(WAIT), released="live"),
    Property(NOUN, "timeout", "time for the answer to a check that does not say", _days, int(TIMEOUT), released="live"),
]
LISTS = [
    Property(NOUN, "disabled-list", "process types whose old instances end first", processes, "", released="live"),
    Property(NOUN, "skipped-list", "process types that are not waited for", processes, "", released="live"),
]
PROPERTIES = [*SETTABLE, *LISTS]


def lists(disabled: str, skipped: str, wanted: str, names: list[ProcessType]) -> dict[str, str | None]:
    """The two lists after `wanted` (disabled, skipped or enabled) has been said of some processes, or of all."""
    found: dict[str, str | None] = {}
    for key, text in (("disabled", disabled), ("skipped", skipped)):
        present = [name for name in text.split(",") if name]
        if not names:
            found[f"{key}-list"] = ALL if key == wanted else None
            continue
        if ALL in present and key != wanted:
            raise InvalidInput(
                f"Checks are {key} for all processes", hint="Enable them for all first: checks:enable APP"
            )
        left = [name for name in present if name not in names]
        after = [*left, *names] if key == wanted and ALL not in present else left
        found[f"{key}-list"] = ",".join(dict.fromkeys(after)) or None
    return found
