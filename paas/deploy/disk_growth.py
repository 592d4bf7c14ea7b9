"""When what somebody writes has to be measured again, and who has grown. Pure.

Nobody can have passed a limit before the file system has moved by what was left to it, unless others delete as much at
the same moment. So directories are walked then, and a few times a minute; a file system that stands still costs next to
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from paas.system.disk import Left

PERIOD, _LONGEST, _RARELY = 15.0, 60.0, 60
"""Seconds after which something is measured again where the file system has moved at all, and in any case, and how many
times what the last one took: what others delete hides what grows."""
_PAUSE, _SHARE = 1.0, 4
"""Seconds from one measurement of something to its next, and how many times what the last one took."""
_STEP, _LEAST_STEP = 50, 64 << 20
"""A part of the file system, and the least of bytes: when it has moved by that much, sizes are learnt anew."""
_STIR = 64
"""Parts of a step, of the inodes that builds leave, and the least of inodes."""


@dataclass(frozen=True, slots=True)
class Amount:
    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.bytes + other.bytes, self.inodes + other.inodes)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(self.bytes - other.bytes, self.inodes - other.inodes)

    def reaches(self, bytes: int | None, inodes: int | None) -> bool:
        """Whether it is as much as one of these or more; None: no amount is."""
        return (bytes is not None and self.bytes >= bytes) or (inodes is not None and self.inodes >= inodes)


class Gauge:
    """How much a file system has moved since the first look, up or down: who sees it shrink does not see what has grown
    meanwhile."""

    def __init__(self) -> None:
        self._last: Left | None = None
        self.moved = Amount()

    def look(self, left: Left) -> Amount:
        last = self._last or left
        self.moved += Amount(abs(last.bytes - left.bytes), abs(last.inodes - left.inodes))
        self._last = left
        return self.moved


@dataclass(frozen=True, slots=True)
class Known:
    """A measurement; `before` is what the one before said, `moved` what the gauge showed, `at` on the monotonic clock,
    `cost` in seconds. Not `measured`: it was born empty."""

    size: Amount
    before: Amount
    moved: Amount
    at: float
    cost: float = 0.0
    measured: bool = True


def step_of(left: Left) -> int:
    return max(_LEAST_STEP, left.total // _STEP)


def stir_of(left: Left) -> Amount:
    """A movement that is too little to be looked into."""
    return Amount(step_of(left) // _STIR, max(_STIR, left.spare_inodes // _STIR))


class Due(Enum):
    NO = auto()
    SOON = auto()
    """It has been measured just now."""
    NOW = auto()


def due(known: Known | None, limit: Amount | None, moved: Amount, step: int, now: float) -> Due:
    """Whether something is to be measured; a `limit` of 0 is none."""
    if known is None:
        return Due.NOW
    since = moved - known.moved
    passed = now - known.at
    period = PERIOD if since != Amount() else _LONGEST
    wanted = not known.measured or passed >= max(period, known.cost * _RARELY) or since.bytes >= step
    if limit is not None:
        room = limit - known.size
        bytes_left = max(1, room.bytes) if limit.bytes else None
        inodes_left = max(1, room.inodes) if limit.inodes else None
        wanted = wanted or since.reaches(bytes_left, inodes_left)
    if not wanted:
        return Due.NO
    return Due.NOW if passed >= max(_PAUSE, known.cost * _SHARE) else Due.SOON


def most_grown(growth: Mapping[str, Amount], *, inodes: bool, least: int) -> str | None:
    """Who has grown most, of inodes or else of bytes, and by `least` at all."""
    amounts = {key: grown.inodes if inodes else grown.bytes for key, grown in growth.items()}
    found = max(amounts, key=lambda key: amounts[key], default=None)
    return found if found is not None and amounts[found] >= least else None
