"""Signals by what people call them."""

from __future__ import annotations

import signal

from paas.errors import InvalidInput
from paas.names import shown


def signal_number(name: str) -> int:
    """`TERM`, `sigterm` and `15` are 15. Raises InvalidInput."""
    text = name.upper()
    if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 64:
        return int(text)
    try:
        return signal.Signals["SIG" + text.removeprefix("SIG")]
    except KeyError:
        raise InvalidInput(f"{shown(name)} is not a signal", hint="Examples: TERM, HUP, USR1, 9") from None
