"""Cache mounts: directories that RUN steps of one app share from build to build."""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paas.errors import Cancelled
from paas.system.files import ensure_directory, remove_tree, tree_size

Take = Callable[[str, str, str, tuple[int, int, int]], Path]
"""(scope, id, sharing, (mode, uid, gid) of a new one) -> its directory"""
_POLL = 0.05


class CacheMounts:
    """`sharing`: `shared` is used by all at once, `locked` by one after the other, `private` by one, while a second
    step that wants it at the same time gets an empty one of its own. See the Dockerfile reference."""

    def __init__(self, root: Path) -> None:
        self._root = ensure_directory(root, mode=0o700)
        self._root.chmod(0o700)  # set-id programs of images may lie below, with their real owners
        self._lock = threading.Lock()
        self._users: Counter[str] = Counter()
        self._exclusive: set[str] = set()

    @contextmanager
    def taken(self, cancelled: Callable[[], bool]) -> Iterator[Take]:
        """Within the block each cache that was taken is the taker's, as its sharing says. Raises Cancelled."""
        with ExitStack() as undo:

            def take(scope: str, id: str, sharing: str, attributes: tuple[int, int, int]) -> Path:
                place = self._root / _name(scope, id)
                exclusive = sharing != "shared"
                if self._reserve(place.name, exclusive=exclusive):
                    undo.callback(self._give_back, place.name, exclusive=exclusive)
                elif sharing == "private":
                    place = self._root / f".tmp-{secrets.token_hex(8)}"
                    undo.callback(remove_tree, place)
                else:
                    while not self._reserve(place.name, exclusive=True):
                        if cancelled():
                            raise Cancelled("The build was cancelled")
                        time.sleep(_POLL)
                    undo.callback(self._give_back, place.name, exclusive=True)
                _make(place, attributes)
                os.utime(place)  # when it was used last
                return place

            yield take

    def usage(self) -> list[tuple[Path, int]]:
        """(directory, bytes) of every cache, the least recently used first."""
        places = [place for place in self._root.iterdir() if not place.name.startswith(".tmp-")]
        return [(place, tree_size(place)) for place in sorted(places, key=lambda place: place.stat().st_mtime)]

    def prune(self, scope: str | None = None) -> int:
        """Remove caches that no step uses now, of one scope or all; returns their bytes."""
        freed = 0
        for place, size in self.usage():
            if scope is not None and not place.name.startswith(f"{scope}-"):
                continue
            doomed = self._root / f".tmp-{secrets.token_hex(8)}"
            with self._lock:
                if self._users[place.name]:
                    continue
                place.rename(doomed)
            remove_tree(doomed)
            freed += size
        return freed

    def recover(self) -> None:
        """At start: remove what a build that was killed left."""
        for place in self._root.iterdir():
            if place.name.startswith(".tmp-"):
                remove_tree(place)

    def _reserve(self, name: str, *, exclusive: bool) -> bool:
        with self._lock:
            if exclusive and name in self._exclusive:
                return False
            self._users[name] += 1
            if exclusive:
                self._exclusive.add(name)
            return True

    def _give_back(self, name: str, *, exclusive: bool) -> None:
        with self._lock:
            self._users[name] -= 1
            if exclusive:
                self._exclusive.discard(name)


def _name(scope: str, id: str) -> str:
    return f"{scope}-{hashlib.sha256(id.encode('utf-8', 'surrogateescape')).hexdigest()[:24]}"


def _make(place: Path, attributes: tuple[int, int, int]) -> None:
    mode, uid, gid = attributes
    try:
        place.mkdir(mode=0o700)
    except FileExistsError:
        return
    os.chown(place, uid, gid)
    place.chmod(mode)
