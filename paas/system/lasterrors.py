"""The last errors this process has logged, for reports about it: when, where, and the id a user was shown."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime

_KEPT = 20
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class LoggedError:
    at: str
    """UTC, RFC 3339."""
    logger: str
    message: str
    where: str
    """For an exception its class and the line that raised it, never its text, which may hold anybody's values."""


class LastErrors(logging.Handler):
    """Thread-safe. Keeps what is logged as an error or worse."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._kept: deque[LoggedError] = deque(maxlen=_KEPT)
        self._guard = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        where = ""
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
            where = record.exc_info[0].__name__ + place
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._guard:
            self._kept.append(LoggedError(at, record.name, record.getMessage()[:_LONGEST], where))

    def listing(self) -> list[LoggedError]:
        """The newest last."""
        with self._guard:
            return list(self._kept)


LAST_ERRORS = LastErrors()
"""Of this process."""
