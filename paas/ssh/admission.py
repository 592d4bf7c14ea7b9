"""Who may connect, and who has to go for it: limits in all and for each address, and back-off from failed logins.

A connection that has not proved a key yet is a *visitor*. When there are too many of them a new one takes the place of
the oldest from the address that has the most, rather than be refused: someone who logs in at once is gone from the list
before a crowd that says nothing has pushed him out. Addresses that keep failing are refused for a while, but for one
connection in a few, so that others behind the same address still get in.
"""

from __future__ import annotations

import ipaddress
import random
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from paas.settings import Settings

_LUCKY = 8
"""Of so many connections from an address that is held off one is let in."""
_HELD_OFF_AT = 15.0
"""Points at which an address is held off; they go by one a second."""
_ADDRESSES = 4096
"""Addresses that points are kept of; the ones that failed longest ago are forgotten first."""


class Failure(IntEnum):
    """Points for a connection that ended without a login."""

    LEFT = 1
    """It went away, as port scanners and monitors do."""
    REFUSED = 3
    """None of its keys was known, or what it sent was no SSH."""
    DAWDLED = 5
    """It was given the whole login grace."""


@dataclass(eq=False, slots=True)
class Visitor:
    """`drop` closes its connection, from another thread. `source` is the address, or the network, that counts."""

    source: str
    drop: Callable[[], None] = field(repr=False)
    state: Literal["waiting", "proved", "sent away"] = "waiting"


class Admission:
    """Safe to use from several threads. `clock` in seconds; `chance` gives numbers from 0 up to 1."""

    def __init__(
        self,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._waiting: dict[Visitor, None] = {}
        """In the order they came."""
        self._proved: Counter[str] = Counter()
        """Connections that have proved a key, by source."""
        self._going = 0
        """Visitors that were sent away and whose threads have not ended."""
        self._points: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """source -> (points, when they were that many); the latest change is last."""

    def enter(self, address: str, drop: Callable[[], None]) -> Visitor | str:
        """Let a connection in, for `leave` to be called at its end; or say why it is refused."""
        source, limits = source_of(address), self._settings
        out: Visitor | None = None
        with self._lock:
            if self._is_held_off(source) and self._chance() * _LUCKY >= 1:
                return "too many failed logins"
            if self._going >= limits.ssh_logins or self._proved.total() >= limits.ssh_connections:
                return "too many connections"
            if self._proved[source] >= limits.ssh_connections_per_address:
                return "too many connections from one address"
            if self._of(source) >= limits.ssh_logins_per_address:
                out = self._send_away(source)
            elif len(self._waiting) >= limits.ssh_logins:
                out = self._send_away(Counter(each.source for each in self._waiting).most_common(1)[0][0])
            visitor = Visitor(source, drop)
            self._waiting[visitor] = None
        if out is not None:
            out.drop()
        return visitor

    def proved(self, visitor: Visitor) -> bool:
        """It has proved a key; False when it was sent away meanwhile."""
        with self._lock:
            if visitor.state != "waiting":
                return False
            del self._waiting[visitor]
            visitor.state = "proved"
            self._proved[visitor.source] += 1
            if self._is_held_off(visitor.source):
                self._set_points(visitor.source, _HELD_OFF_AT)
            return True

    def leave(self, visitor: Visitor, failure: Failure) -> None:
        """It has ended; `failure` says how, if no key was proved."""
        with self._lock:
            if visitor.state == "proved":
                self._proved[visitor.source] -= 1
                if not self._proved[visitor.source]:
                    del self._proved[visitor.source]
                return
            self._going -= visitor.state == "sent away"
            self._waiting.pop(visitor, None)
            if self._settings.ssh_back_off and not self._is_exempt(visitor.source):
                points = self._points_of(visitor.source) + failure
                self._set_points(visitor.source, min(points, _HELD_OFF_AT + self._settings.ssh_back_off))

    def _send_away(self, source: str) -> Visitor:
        oldest = next(each for each in self._waiting if each.source == source)
        del self._waiting[oldest]
        oldest.state = "sent away"
        self._going += 1
        return oldest

    def _of(self, source: str) -> int:
        return sum(each.source == source for each in self._waiting)

    def _is_held_off(self, source: str) -> bool:
        return source in self._points and self._points_of(source) > _HELD_OFF_AT

    def _points_of(self, source: str) -> float:
        points, when = self._points.get(source, (0.0, 0.0))
        return max(points - (self._clock() - when), 0.0)

    def _set_points(self, source: str, points: float) -> None:
        self._points[source] = (points, self._clock())
        self._points.move_to_end(source)
        if len(self._points) > _ADDRESSES:
            self._points.popitem(last=False)

    def _is_exempt(self, source: str) -> bool:
        return any(
            network.version == found.version and found.subnet_of(network)  # type: ignore[arg-type]
            for found in (ipaddress.ip_network(source),)
            for network in self._settings.never_backed_off
        )


def source_of(address: str) -> str:
    """What counts as one address: an IPv4 address; of IPv6 the /64 that a single customer is given."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None:
            return str(ipaddress.ip_network((found, 64), strict=False))
        found = found.ipv4_mapped
    return str(found)
