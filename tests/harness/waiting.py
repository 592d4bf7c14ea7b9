"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, timeout: float = 10.0) -> T:
    """Ask until the answer is true, and return it. Raises AssertionError, naming `what`, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = 0.002
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"after {timeout:g} seconds still not: {what}"
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return answer
