"""In which order apps come back after a restart of the machine: what others need first. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from paas.model import Instance
from paas.names import AppName


@dataclass(frozen=True, slots=True)
class Wants:
    """The networks of an app, and the values of its config vars."""

    networks: frozenset[str]
    values: Sequence[str]


def needs(wants: Mapping[AppName, Wants]) -> dict[AppName, frozenset[AppName]]:
    """The apps whose address an app has in its config vars, as APP.PROCESS or PROCESS.APP, on a network of both.

    Of those that need each other one goes first: the one whose name does.
    """
    found: dict[AppName, frozenset[AppName]] = {}
    words = {app: {word for value in own.values for word in _pairs(value)} for app, own in wants.items()}
    for app, own in wants.items():
        others = {
            other for other in wants if other != app and own.networks & wants[other].networks and other in words[app]
        }
        found[app] = frozenset(others)
    return _without_circles(found)


def _pairs(value: str) -> Iterable[str]:
    """Both sides of every dot in what could be a name."""
    for left, right in re.findall(r"(?<![\w.-])([a-z0-9][a-z0-9-]*)\.([a-z0-9][a-z0-9-]*)(?![\w-])", value):
        yield left
        yield right


def _without_circles(needs: Mapping[AppName, frozenset[AppName]]) -> dict[AppName, frozenset[AppName]]:
    kept: dict[AppName, frozenset[AppName]] = {}
    for app in sorted(needs, reverse=True):
        kept[app] = frozenset(other for other in needs[app] if app not in _all_below(other, kept))
    return kept


def _all_below(app: AppName, needs: Mapping[AppName, frozenset[AppName]]) -> set[AppName]:
    seen: set[AppName] = set()
    stack = [app]
    while stack:
        for other in needs.get(stack.pop(), frozenset()):
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return seen


class Comeback:
    """Which instances may begin. One that failed counts as done: it is tried again, and nobody waits for ever."""

    def __init__(self, lost: Sequence[Instance], needs: Mapping[AppName, frozenset[AppName]]) -> None:
        self._waiting: dict[AppName, list[Instance]] = {}
        for instance in lost:
            self._waiting.setdefault(instance.app, []).append(instance)
        self._open = {app: len(instances) for app, instances in self._waiting.items()}
        self._needs = {app: set(needs.get(app, ())) & set(self._open) for app in self._waiting}

    def begin(self) -> list[Instance]:
        """Those that wait for nobody, each told once."""
        free = [app for app in self._waiting if not self._needs[app]]
        return [instance for app in free for instance in self._waiting.pop(app)]

    def done(self, instance: Instance) -> list[Instance]:
        """One has begun, or failed to; returns those that had waited for it."""
        self._open[instance.app] -= 1
        if self._open[instance.app]:
            return []
        for others in self._needs.values():
            others.discard(instance.app)
        return self.begin()
