"""Downloads that were interrupted: kept for the next pull of the same blob, for a while and within a budget.

They are named by their digest, and nothing trusts them: whoever goes on with one checks the whole at its end.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from pathlib import Path

from paas.system.files import ensure_directory, remove_tree

_KEPT = 7 * 86400
"""Seconds since the last byte came."""
_BUDGET = 8 << 30
"""Bytes of all of them together; the oldest go first."""
_WORKING = "pull-"


class Partials:
    """Thread-safe. A pull works in a directory of its own beside them, so that one that was killed is found again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        if directory.exists():
            for left in directory.glob(f"{_WORKING}*"):
                self.keep(left)

    def workplace(self) -> Path:
        """A new directory; give it to `keep` or `drop`."""
        ensure_directory(self._directory, mode=0o700)
        return ensure_directory(self._directory / f"{_WORKING}{secrets.token_hex(6)}", mode=0o700)

    def claim(self, name: str, workplace: Path) -> None:
        """Move what there is of a blob (hex digits) into the workplace: it is nobody else's then."""
        with contextlib.suppress(FileNotFoundError):
            (self._directory / name).rename(workplace / name)

    def keep(self, workplace: Path) -> None:
        """End a workplace, keeping what it has of blobs."""
        with self._lock:
            for file in list(workplace.iterdir()):
                if file.stat().st_size:
                    file.replace(self._directory / file.name)
        self.drop(workplace)
        self._trim(_BUDGET)

    def drop(self, workplace: Path) -> None:
        """End a workplace: a download that still runs finds no place for its next file."""
        doomed = workplace.with_suffix(".gone")
        workplace.rename(doomed)
        remove_tree(doomed)

    def clear(self) -> int:
        """Remove all that no pull is using; returns how many bytes that were."""
        return self._trim(0)

    def _trim(self, budget: int) -> int:
        freed = 0
        with self._lock:
            files = [(path.stat(), path) for path in self._directory.glob("*") if path.is_file()]
            for info, path in sorted(files, key=lambda item: item[0].st_mtime, reverse=True):
                budget -= info.st_size
                if budget < 0 or info.st_mtime < time.time() - _KEPT:
                    path.unlink(missing_ok=True)
                    freed += info.st_size
        return freed
