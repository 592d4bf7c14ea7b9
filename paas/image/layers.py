"""Layers on disk: `layers/NUMBER`, laid out as an overlayfs layer (whiteouts are 0/0 character devices)."""

from __future__ import annotations

import ctypes
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from paas.errors import SystemFailure
from paas.model import Layer
from paas.state import images
from paas.state.database import Database
from paas.system.files import ensure_directory, remove_tree, sync_directory

_TEMPORARY = ".tmp-"
_FEW = 64
"""Up to so many files and directories are synced one by one; more are synced with their whole file system."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class LayerDraft:
    """A layer in the making; gone when the `with` block ends, unless it was committed meanwhile."""

    directory: Path

    @property
    def upper(self) -> Path:
        return self.directory / "upper"

    @property
    def work(self) -> Path:
        return self.directory / "work"

    def __enter__(self) -> LayerDraft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove_tree(self.directory)


class LayerFiles:
    """The directory of layers. The database's rows are the truth; `recover` makes the directory agree."""

    def __init__(self, db: Database, root: Path) -> None:
        self._db = db
        self._root = ensure_directory(root, mode=0o700)
        self._root.chmod(0o700)  # set-id programs of images lie below, with their real owners: no user may reach them

    def path(self, number: int) -> Path:
        return self._root / str(number)

    def draft(self) -> LayerDraft:
        draft = LayerDraft(self._root / f"{_TEMPORARY}{secrets.token_hex(6)}")
        draft.upper.mkdir(parents=True)
        draft.upper.chmod(0o755)
        draft.work.mkdir()
        return draft

    def commit(self, draft: LayerDraft, id: str, diff_id: str | None = None) -> Layer:
        """Make the draft's upper directory a layer, durably; a layer with this id that exists already wins.

        Raises SystemFailure.
        """
        try:
            known = self._known(id)
            if known is not None:
                return known
            size, some = _measure(draft.upper)
            _sync(draft.upper, some)
            layer = self._insert(draft, id, size, diff_id, settled=True)
            sync_directory(self._root)
            return layer
        except OSError as error:
            raise SystemFailure(f"The layer cannot be kept: {error.strerror}") from error

    def size(self, draft: LayerDraft) -> int:
        """Bytes of a draft's files."""
        return _measure(draft.upper)[0]

    def commit_unsettled(self, draft: LayerDraft, id: str, size: int, diff_id: str | None = None) -> Layer:
        """Like `commit`, but it may not survive a crash of the machine until `settle_all` was called: one wait for the
        disk in place of one for each step of a build."""
        try:
            return self._known(id) or self._insert(draft, id, size, diff_id, settled=False)
        except OSError as error:
            raise SystemFailure(f"The layer cannot be kept: {error.strerror}") from error

    def settle_all(self) -> None:
        """Bring every layer that was committed before to disk. Raises SystemFailure."""
        waiting = images.unsettled_layers(self._db)
        if not waiting:
            return
        some: list[str] = []
        for layer in waiting:
            if len(some) <= _FEW:
                some += _measure(self.path(layer.number))[1]
        try:
            _sync(self._root, [*some, str(self._root)])
        except OSError as error:
            raise SystemFailure(f"The layers cannot be kept: {error.strerror}") from error
        images.set_settled(self._db, [layer.number for layer in waiting])

    def _known(self, id: str) -> Layer | None:
        known = images.layer_by_id(self._db, id)
        return known if known is not None and self.path(known.number).is_dir() else None

    def _insert(self, draft: LayerDraft, id: str, size: int, diff_id: str | None, *, settled: bool) -> Layer:
        with self._db.transaction():
            again = images.layer_by_id(self._db, id)
            if again is not None:
                if not self.path(again.number).is_dir():
                    draft.upper.rename(self.path(again.number))
                return again
            layer = images.insert_layer(self._db, id, size, diff_id, settled=settled)
            path = self.path(layer.number)
            if path.exists():  # a transaction that failed after its rename; its number is given again
                self._discard(path)
            draft.upper.rename(path)
            return layer

    def remove_directory(self, layer: Layer) -> None:
        """After its row: a directory without a row is removed by `recover`, a row without one would be a hole."""
        path = self.path(layer.number)
        if path.exists():
            self._discard(path)

    def _discard(self, path: Path) -> None:
        doomed = self._root / f"{_TEMPORARY}{secrets.token_hex(6)}"
        path.rename(doomed)
        remove_tree(doomed)

    def recover(self) -> list[Layer]:
        """Remove what no row knows, and layers that may be half on disk; returns those whose directory is missing."""
        for layer in images.unsettled_layers(self._db):
            images.delete_layer(self._db, layer.number)
        known = {str(layer.number): layer for layer in images.layers(self._db)}
        present = {entry.name for entry in self._root.iterdir()}
        for name in present - set(known) - {".empty"}:
            remove_tree(self._root / name)
        return [layer for name, layer in known.items() if name not in present]


def _measure(top: Path) -> tuple[int, list[str]]:
    """Bytes of all regular files, hard links once; and the first _FEW + 1 files and directories, as paths."""
    size, some = 0, [str(top)]
    seen: set[int] = set()
    for entry in _walk(top):
        info = entry.stat(follow_symlinks=False)
        is_file = stat.S_ISREG(info.st_mode) and info.st_ino not in seen
        if is_file:
            seen.add(info.st_ino)
            size += info.st_size
        if (is_file or stat.S_ISDIR(info.st_mode)) and len(some) <= _FEW:
            some.append(entry.path)
    return size, some


def _walk(top: Path | str) -> Iterator[os.DirEntry[str]]:
    stack: list[Path | str] = [top]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)


def _sync(top: Path, some: list[str]) -> None:
    if len(some) > _FEW:
        descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if _libc.syncfs(descriptor) < 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(descriptor)
        return
    for path in reversed(some):  # what is in a directory before the directory
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
