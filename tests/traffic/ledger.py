"""What visitors know of their requests, beside what the app has noted of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

_LATER = 3.0
"""Seconds by which what a change brings about may come after it, on a busy machine."""


@dataclass
class Account:
    """What came of one kind of visit."""

    done: int = 0
    """Answers that were as they had to be; of WebSockets the words that came back."""
    losses: list[tuple[float, str]] = field(default_factory=list)
    """Seconds since 1970, and what went wrong."""
    posted: list[str] = field(default_factory=list)
    """Ids that were acknowledged."""
    unsure: list[str] = field(default_factory=list)
    """Ids that were not."""

    def lose(self, why: str) -> None:
        self.losses.append((time.time(), why))

    def acknowledge(self, id: str) -> None:
        self.unsure.remove(id)
        self.posted.append(id)
        self.done += 1


class Posting(Protocol):
    """An Account, or a Report of tests.harness.load."""

    posted: list[str]
    unsure: list[str]


def accounts(lines: Sequence[str], *parties: Posting, cut: int = 0) -> str:
    """What does not add up between what the app noted and what visitors know; '' when all does.

    `cut`: how many requests were still in work, as is known, on instances that were told to stop at their drain limit.
    """
    posted = {id for party in parties for id in party.posted}
    unsure = {id for party in parties for id in party.unsure}
    ids = [line for line in lines if "-" in line]
    missing, twice = posted - set(ids), len(ids) - len(set(ids))
    unknown = set(ids) - posted - unsure
    in_work = sum(int(line.removeprefix("term ")) for line in lines if line.startswith("term "))
    wrong = {
        "not noted": len(missing),
        "noted twice": twice,
        "never sent": len(unknown),
        "after SIGTERM": lines.count("late"),
        "in work at SIGTERM": max(0, in_work - cut),
    }
    return ", ".join(f"{count} {what}" for what, count in wrong.items() if count)


@dataclass(frozen=True, slots=True)
class Change:
    name: str
    begun: float
    """Seconds since 1970."""
    ended: float

    @property
    def retires(self) -> bool:
        """Whether instances are told to stop for it."""
        return self.name in ("deploy", "rollback", "scale down", "restart")


def verdict(when: float, changes: Sequence[Change], limit: float | None) -> Literal["lost", "killed", "limit"]:
    """What a request that ended without its answer fell victim to: nothing that explains it, a `kill` of an instance
    just before, or, where it may last longer than that, the `limit` of seconds that an instance has to drain."""
    if any(change.name == "kill" and change.begun <= when <= change.begun + _LATER for change in changes):
        return "killed"
    retired = [change for change in changes if change.retires] if limit is not None else []
    at_limit = any(change.begun <= when - (limit or 0.0) <= change.ended + _LATER for change in retired)
    return "limit" if at_limit else "lost"
