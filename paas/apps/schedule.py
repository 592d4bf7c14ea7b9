"""When a cron task runs: the five fields of crontab(5), or @daily and the like."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from paas.errors import InvalidInput
from paas.names import shown

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS = {
    name: n
    for n, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_DAYS = {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:(\*)|([a-z0-9]{1,3})(?:-([a-z0-9]{1,3}))?)(?:/([0-9]{1,2}))?")
_LONGEST_PAUSE = 366 * 8 + 1
"""Days within which every schedule comes to pass: 29 February is eight years away at most."""


class Schedule:
    """Raises InvalidInput for what is no schedule, and for one that never comes (30 February).

    As in cron, a day matches when either of its two fields does, if neither of them begins with `*`.
    """

    def __init__(self, text: str) -> None:
        words = _NAMED.get(text.strip().lower(), text).lower().split()
        if len(words) != len(_FIELDS) or len(text) > 200:
            raise InvalidInput(
                f"{shown(text)} is not a schedule",
                hint="Write five fields, such as '30 4 * * *', or one of " + ", ".join(_NAMED),
            )
        self.minutes, self.hours, self.days, self.months, weekdays = (
            _values(word, *field) for word, field in zip(words, _FIELDS, strict=True)
        )
        self.weekdays = frozenset(day % 7 for day in weekdays)
        self._either = not words[2].startswith("*") and not words[4].startswith("*")
        if not self._either and not any(day <= _longest(month) for day in self.days for month in self.months):
            raise InvalidInput(f"{shown(text)} never comes: no such month has such a day")

    @property
    def every_hour(self) -> bool:
        return len(self.hours) == 24

    def matches(self, time: datetime) -> bool:
        """Whether it runs in the minute of a time, by the fields of that time."""
        return time.minute in self.minutes and time.hour in self.hours and self._on(time.date())

    def after(self, time: datetime) -> datetime:
        """The first minute after a time."""
        start = time.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for number in range(_LONGEST_PAUSE):
            day = start.date() + timedelta(days=number)
            if not self._on(day):
                continue
            for hour in sorted(self.hours):
                for minute in sorted(self.minutes):
                    if number or (hour, minute) >= (start.hour, start.minute):
                        return start.replace(
                            year=day.year, month=day.month, day=day.day, hour=hour, minute=minute, fold=0
                        )
        raise AssertionError("a schedule that never comes")

    def _on(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self._either else by_month and by_week


def _longest(month: int) -> int:
    return 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31


def _values(text: str, name: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise InvalidInput(f"{shown(part)} is not a {name}")
        star, first, last, step = match.groups()
        begin = low if star else _number(first, name, low, high, names)
        end = high if star or (step and not last) else begin
        if last:
            end = _number(last, name, low, high, names)
        every = int(step) if step else 1
        if every == 0 or end < begin:
            raise InvalidInput(f"{shown(part)} is not a {name}")
        found.update(range(begin, end + 1, every))
    return frozenset(found)


def _number(text: str, name: str, low: int, high: int, names: dict[str, int]) -> int:
    value = names.get(text, int(text) if text.isdigit() else -1)
    if not low <= value <= high:
        raise InvalidInput(f"{shown(text)} is not a {name} ({low} to {high})")
    return value
