"""Crash points: named places right after a change of state, at which a test has this process die as by `kill -9`.

Nothing happens unless the engine was started with PAAS_FAULTS=DIRECTORY. Then each point that is passed is added, a
line, to the file `reached` in it, and the one that the file `kill-at` names is the last thing this process does.
`tests/faults/test_crash_points.py` walks all that there are.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

_PLACE = os.environ.get("PAAS_FAULTS", "")


def reached(point: str) -> None:
    """Call it with a literal `noun:what-has-just-happened`: points are found by looking for the calls."""
    if not _PLACE:
        return
    with Path(_PLACE, "reached").open("a") as file:
        file.write(f"{point}\n")
    try:
        wanted = Path(_PLACE, "kill-at").read_text()
    except FileNotFoundError:
        return
    if wanted == point:
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()  # on another thread the signal may take a moment: nothing more may be done meanwhile
