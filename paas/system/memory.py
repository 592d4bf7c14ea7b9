"""How much memory this process keeps of what it has given back."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8  # malloc.h
_ARENAS = 2


def keep_few_arenas() -> None:
    """Before there are threads: glibc gives each of many short-lived threads a heap of its own, up to eight for each
    processor, and what was freed in one is of no use to the next. The work is done under Python's lock anyway."""
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
