"""Durations as Go's time.ParseDuration reads them: `1m30s`, `500ms`. Pure."""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST = (1 << 63) / 1e9
"""Go counts nanoseconds in 64 bits."""


def seconds(text: str) -> float | None:
    """None for what is no duration that Go could hold; none is negative here."""
    unsigned = text.removeprefix("+")
    if unsigned == "0":
        return 0.0
    parts = _PART.findall(unsigned)
    if not parts or "".join(number + unit for number, unit in parts) != unsigned:
        return None
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return total if total < _LONGEST else None
