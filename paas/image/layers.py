"""Layers on disk: `layers/NUMBER`, laid out as an overlayfs layer (whiteouts are 0/0 character devices)."""

from __future__ import annotations

import ctypes
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from paas.errors import SystemFailure
from paas.faults import reached
from paas.image.seal import content, shape
from paas.model import Layer
from paas.state import images, seals
from paas.state.database import Database
from paas.system.files import ensure_directory, remove_tree, sync_directory

_TEMPORARY = ".tmp-"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
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


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes of a draft's files, and the digest of its shape."""

    size: int
    shape: str


class LayerFiles:
    """The directory of layers. The database's rows are the truth; `recover` makes the directory agree."""

    def __init__(self, db: Database, root: Path) -> None:
        self._db = db
        self.replaced: Callable[[Layer], None] = lambda layer: None
        """Called when another directory has come in the place of a layer's: what runs on it has the former one."""
        self._sound: set[int] = set()
        """Numbers of layers that were looked at, or made, since the start."""
        self._unsealable: set[int] = set()
        """Numbers of damaged layers, which are not read again by themselves."""
        self._root = ensure_directory(root, mode=0o700)
        self._root.chmod(0o700)  # set-id programs of images lie below, with their real owners: no user may reach them

    def path(self, number: int) -> Path:
        return self._root / str(number)

    def draft(self) -> LayerDraft:
        draft = LayerDraft(self._root / f"{_TEMPORARY}{secrets.token_hex(6)}")
        draft.upper.mkdir(parents=True)
        draft.upper.chmod(0o755)
        draft.work.mkdir()
        reached("layer:begun")
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
            layer = self._insert(draft, id, Measured(size, shape(draft.upper)), diff_id, settled=True)
            sync_directory(self._root)
            return layer
        except OSError as error:
            raise SystemFailure(f"The layer cannot be kept: {error.strerror}") from error

    def measure(self, draft: LayerDraft) -> Measured:
        """What takes its time, so that nobody waits for it who does not have to."""
        return Measured(_measure(draft.upper)[0], shape(draft.upper))

    def commit_unsettled(self, draft: LayerDraft, id: str, measured: Measured, diff_id: str | None = None) -> Layer:
        """Like `commit`, but it may not survive a crash of the machine until `settle_all` was called: one wait for the
        disk in place of one for each step of a build."""
        try:
            return self._known(id) or self._insert(draft, id, measured, diff_id, settled=False)
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
        reached("layer:synced")
        images.set_settled(self._db, [layer.number for layer in waiting])
        reached("layer:settled")

    def _known(self, id: str) -> Layer | None:
        known = images.layer_by_id(self._db, id)
        return known if known is not None and self.problem(known) is None else None

    def _insert(self, draft: LayerDraft, id: str, measured: Measured, diff_id: str | None, *, settled: bool) -> Layer:
        with self._db.transaction():
            again = images.layer_by_id(self._db, id)
            if again is not None:
                if self.problem(again) is not None:
                    self.replace(again, draft, measured.shape)
                return again
            layer = images.insert_layer(self._db, id, measured.size, diff_id, settled=settled)
            seals.set_shape(self._db, layer.number, measured.shape)
            path = self.path(layer.number)
            if path.exists():  # a transaction that failed after its rename; its number is given again
                self._discard(path)
            draft.upper.rename(path)
            self._sound.add(layer.number)
            reached("layer:renamed")
            return layer

    def replace(self, layer: Layer, draft: LayerDraft, seal: str) -> None:
        """Put a draft in the place of a directory that is damaged or missing.

        What lies there now is set aside until the machine starts again: containers may be running on it, and go on
        when the engine ends.
        """
        path = self.path(layer.number)
        with self._db.transaction():
            seals.set_shape(self._db, layer.number, seal)
            if path.exists():
                path.rename(self._root / f"{_aside()}{secrets.token_hex(6)}")
            draft.upper.rename(path)
            self.replaced(layer)
        sync_directory(self._root)
        self._sound.add(layer.number)
        self._unsealable.discard(layer.number)

    def problem(self, layer: Layer, *, again: bool = False) -> str | None:
        """What is wrong with a layer's directory, looked at from outside; None if nothing.

        What was found in order once since the start is not looked at a second time, unless it is to be `again`.
        """
        path = self.path(layer.number)
        if not path.is_dir():
            return "its directory is missing"
        if layer.number in self._sound and not again:
            return None
        self._sound.discard(layer.number)
        known = seals.seal(self._db, layer.number)
        if known is not None and known.damage and not again:
            return known.damage
        try:
            if known is not None and shape(path) != known.shape:
                return "names, sizes, times or owners of its files are not what they were"
        except OSError as error:
            return f"its files cannot be read: {error.strerror}"
        self._sound.add(layer.number)
        return None

    def altered(self, layer: Layer, cancelled: Callable[[], bool]) -> str | None:
        """The same, with all of its files read. A layer that was never read before is sealed as it is."""
        problem = self.problem(layer, again=True)
        if problem is not None:
            return problem
        path = self.path(layer.number)
        try:
            known = seals.seal(self._db, layer.number) or seals.Seal(shape(path), "")
            found = content(path, cancelled)
        except OSError as error:
            self._sound.discard(layer.number)
            return f"its files cannot be read: {error.strerror}"
        damage = "the content of its files is not what it was" if known.content not in ("", found) else ""
        seals.set_damage(self._db, layer.number, damage)
        if damage:
            self._sound.discard(layer.number)
            return damage
        seals.set_content(self._db, layer.number, known.shape, found)
        return None

    def seal_one(self, cancelled: Callable[[], bool]) -> bool:
        """Read the files of a layer that nobody has read yet, so that a change of them is found later. False: all have
        been. Raises Cancelled."""
        lacking = set(seals.lacking(self._db)) - self._unsealable
        if not lacking:
            return False
        layer = next((each for each in images.layers(self._db) if each.number == max(lacking)), None)
        if layer is not None and self.altered(layer, cancelled) is not None:
            self._unsealable.add(layer.number)
        return True

    def remove_directory(self, layer: Layer) -> None:
        """After its row: a directory without a row is removed by `recover`, a row without one would be a hole."""
        self._sound.discard(layer.number)
        self._unsealable.discard(layer.number)
        path = self.path(layer.number)
        if path.exists():
            self._discard(path)

    def _discard(self, path: Path) -> None:
        doomed = self._root / f"{_TEMPORARY}{secrets.token_hex(6)}"
        path.rename(doomed)
        reached("layer:doomed")
        remove_tree(doomed)

    def recover(self) -> list[Layer]:
        """Remove what no row knows, and layers that may be half on disk; returns those whose directory is missing."""
        for layer in images.unsettled_layers(self._db):
            images.delete_layer(self._db, layer.number)
        known = {str(layer.number): layer for layer in images.layers(self._db)}
        present = {entry.name for entry in self._root.iterdir() if not entry.name.startswith(_aside())}
        for name in present - set(known) - {".empty"}:
            remove_tree(self._root / name)
        return [layer for name, layer in known.items() if name not in present]


def _aside() -> str:
    """How names begin of directories that containers may be running on, since this start of the machine."""
    return f".aside-{_BOOT_ID.read_text().strip()}-"


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
