"""Volumes: directories that outlive containers, known by name, in the way of `docker volume`.

A volume is a directory below `storage` and nothing else: apps mount the same ones. One whose name is 64 hex digits is
anonymous: it was made for an image's VOLUME or for a `-v` without a name.
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paas.containers import model
from paas.containers.model import Options
from paas.errors import Conflict, InvalidInput, NotFound, SystemFailure
from paas.faults import reached
from paas.model import Image, Mount
from paas.names import nearest, shown
from paas.paths import Paths
from paas.runtime.rootfs import mounted_plain
from paas.state import apps, containers, releases
from paas.state.containers import HOLDING
from paas.state.database import Database
from paas.system import run as system
from paas.system.files import ensure_directory, remove_tree
from paas.system.inroot import open_in_root

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", re.ASCII)
_ANONYMOUS = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HALF = ".filling-"
_RESERVED = ("/", "/proc", "/sys", "/dev")


class VolumeName(str):
    """1 to 128 letters, digits, '_', '.' and '-', the first a letter or digit."""

    __slots__ = ()

    def __new__(cls, value: str) -> VolumeName:
        if not _NAME.fullmatch(value):
            raise InvalidInput(
                f"{shown(value)} is not a name for a volume",
                hint="Use letters, digits, '_', '.' and '-', beginning with a letter or digit.",
            )
        return super().__new__(cls, value)


@dataclass(frozen=True, slots=True)
class Volume:
    """`users` are containers and apps, as a person calls them."""

    name: str
    path: Path
    users: tuple[str, ...]

    @property
    def anonymous(self) -> bool:
        return _ANONYMOUS.fullmatch(self.name) is not None


class Volumes:
    """Thread-safe."""

    def __init__(self, db: Database, paths: Paths) -> None:
        self._db = db
        self._paths = paths
        self._lock = threading.Lock()
        """Held while a volume is filled or removed. Whoever is to use one is in the database before it is taken."""

    def recover(self) -> None:
        """Remove what an engine that died has filled half."""
        if self._paths.storage.is_dir():
            for entry in self._paths.storage.iterdir():
                if entry.name.startswith(_HALF):
                    remove_tree(entry)

    def called(self, mount: Mount) -> str:
        """A mounted volume's name; of a mounted path of the host, that path."""
        return self.name_of(mount) or str(mount.source)

    def name_of(self, mount: Mount) -> str:
        """'' for a path of the host."""
        return mount.source.name if mount.source.parent == self._paths.storage else ""

    # -- what there is --------------------------------------------------------------------------------------------

    def every(self) -> list[Volume]:
        if not self._paths.storage.is_dir():
            return []
        users = self._users()
        found = [
            self._volume(entry, users)
            for entry in self._paths.storage.iterdir()
            if entry.is_dir() and not entry.name.startswith(_HALF)
        ]
        return sorted(found, key=lambda volume: volume.name)

    def get(self, name: str) -> Volume:
        """Raises NotFound, with near matches."""
        path = self._paths.storage / name
        if "/" in name or name.startswith(".") or not name or not path.is_dir():
            close = nearest(name, [volume.name for volume in self.every() if not volume.anonymous])
            raise NotFound(
                f"There is no volume {shown(name)}",
                hint=f"Did you mean {', '.join(close)}?" if close else "volume:ls shows all volumes.",
            )
        return self._volume(path, self._users())

    def _volume(self, path: Path, users: Mapping[str, Sequence[str]]) -> Volume:
        return Volume(path.name, path, tuple(users.get(path.name, ())))

    def _users(self) -> dict[str, list[str]]:
        """By volume. Those of an app's releases are in use: it can be rolled back to each."""
        found: dict[str, dict[str, None]] = {}

        def add(mounts: Sequence[Mount], who: str) -> None:
            for mount in mounts:
                if name := self.name_of(mount):
                    found.setdefault(name, {})[who] = None

        for row in containers.listing(self._db):
            add(model.loads(row.options).mounts, f"container {row.name}")
        for app in apps.listing(self._db):
            add(apps.mounts(self._db, app.id), f"app {app.name}")
            for release in releases.listing(self._db, app):
                add(release.mounts, f"app {app.name}")
        return {name: list(users) for name, users in found.items()}

    # -- made and removed -----------------------------------------------------------------------------------------

    def create(self, name: str | None) -> Volume:
        """One that is there already stays as it is."""
        path = self._paths.storage / (VolumeName(name) if name else secrets.token_hex(32))
        with self._lock:
            self._make(path)
        return self._volume(path, {})

    def remove(self, name: str) -> None:
        """With all that is in it. Raises NotFound; Conflict, naming the users, for one in use."""
        with self._lock:
            volume = self.get(name)
            if volume.users:
                raise Conflict(
                    f"Volume {name} is in use by {', '.join(volume.users)}",
                    hint="Remove those first (rm CONTAINER, storage:unmount APP ...), stopped ones too.",
                )
            self._delete(volume.path)

    def prune(self, *, all: bool) -> list[Volume]:
        """Remove the anonymous ones that nobody uses; `all` the named ones too. Returns those that went."""
        gone = []
        for volume in self.every():
            if not volume.users and (all or volume.anonymous):
                try:
                    self.remove(volume.name)
                except (NotFound, Conflict):
                    continue  # somebody was faster
                gone.append(volume)
        return gone

    def remove_anonymous(self, options: Options) -> None:
        """Of a container that is gone: those that were made for it, unless others have come to use them."""
        for mount in options.mounts:
            if mount.target in options.anonymous:
                try:
                    self.remove(self.name_of(mount))
                except NotFound:
                    continue
                except Conflict as error:
                    log.info("%s", error.message)

    def _delete(self, path: Path) -> None:
        """It is gone at once; its content follows."""
        away = path.with_name(_HALF + secrets.token_hex(6))
        path.rename(away)
        reached("volume:doomed")
        remove_tree(away)

    def _make(self, path: Path) -> None:
        ensure_directory(self._paths.storage, mode=0o711)
        ensure_directory(path)

    # -- for a container ------------------------------------------------------------------------------------------

    def completed(self, options: Options, image: Image) -> Options:
        """With a volume for each VOLUME of the image that nothing is mounted on, deeper mounts after those above."""
        mounts = list(options.mounts)
        anonymous = list(options.anonymous)
        for text in image.config.volumes:
            target = posixpath.normpath("/" + text.lstrip("/"))
            if target in _RESERVED or target.startswith(("/proc/", "/sys/", "/dev/")):
                raise InvalidInput(f"The image wants a volume on {shown(text)}, where none can be")
            if target not in [mount.target for mount in mounts]:
                mounts.append(Mount(self._paths.storage / secrets.token_hex(32), target))
                anonymous.append(target)
        mounts.sort(key=lambda mount: mount.target.count("/"))
        return replace(options, mounts=tuple(mounts), anonymous=tuple(anonymous))

    def anonymous(self, target: str) -> Mount:
        """For `-v TARGET`: to be made later."""
        return Mount(self._paths.storage / secrets.token_hex(32), target)

    def prepare(self, mounts: Sequence[Mount], image: Image) -> None:
        """Make the volumes of a container that is in the database. An empty one that no other container uses gets what
        the image has at its place, owners and all; it is whole or empty, even if the engine is killed."""
        for mount in mounts:
            if not self.name_of(mount):
                continue
            with self._lock:
                self._make(mount.source)
                if not any(mount.source.iterdir()) and self._is_free(mount):
                    self._fill(mount, image)

    def _is_free(self, mount: Mount) -> bool:
        """Whether nobody who has it mounted runs but the one who asks."""
        using = sum(
            mount.source in [each.source for each in model.loads(row.options).mounts]
            for row in containers.listing(self._db)
            if row.state in HOLDING
        )
        return using <= 1 and not any(user.startswith("app ") for user in self.get(mount.source.name).users)

    def _fill(self, mount: Mount, image: Image) -> None:
        numbers = [layer.number for layer in image.layers]
        scratch = self._paths.run / "build" / secrets.token_hex(6)
        with mounted_plain(scratch, self._paths.layers, numbers, None) as top:
            root = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                source = open_in_root(root, mount.target, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                return
            except OSError:
                raise InvalidInput(
                    f"{shown(mount.target)} is no directory in the image", hint="A volume needs one, or nothing, there."
                ) from None
            finally:
                os.close(root)
            half = self._paths.storage / (_HALF + secrets.token_hex(6))
            try:
                half.mkdir()
                system.run(
                    ["cp", "--archive", "--reflink=auto", f"/proc/{os.getpid()}/fd/{source}/.", str(half)], timeout=600
                )
                reached("volume:half-filled")
                half.rename(mount.source)  # takes the place of the empty one
                reached("volume:filled")
            except OSError as error:
                raise SystemFailure(f"The volume for {mount.target} cannot be filled: {error.strerror}") from None
            finally:
                os.close(source)
                remove_tree(half)
