"""One engine for each run directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from paas.errors import Conflict


def only_one(run: Path) -> int:
    """Hold a run directory for this process alone; closing the descriptor, or dying, lets it go. Raises Conflict."""
    descriptor = os.open(run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict(f"An engine runs with {run}", hint="Stop it first.") from None
    return descriptor
