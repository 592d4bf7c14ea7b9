"""Storage: host directories mounted into an app's containers."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from paas.errors import Conflict, Denied, InvalidInput, NotFound
from paas.model import Mount, Who
from paas.names import shown
from paas.paths import Paths
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database
from paas.system.files import ensure_directory

_FORBIDDEN_TARGETS = ("/", "/dev", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname")
_FORBIDDEN_TREES = ("/proc", "/sys", "/run/paas")
"""What the kernel shows there, and what hides some of it, is not to be covered."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


class Storage:
    def __init__(self, db: Database, paths: Paths) -> None:
        self._db = db
        self._paths = paths

    def of(self, app: App) -> list[Mount]:
        return apps.mounts(self._db, app.id)

    def parse(self, text: str, who: Who) -> Mount:
        """`SOURCE:TARGET[:ro]`; SOURCE is a plain name (a directory paas keeps) or, for admins, a path on the host."""
        source, colon, rest = text.partition(":")
        target, _, option = rest.partition(":")
        pure = PurePosixPath(target)
        if not colon or not source or option not in ("", "ro", "rw"):
            raise InvalidInput(f"{shown(text)} is not of the form SOURCE:TARGET[:ro]")
        forbidden = str(pure) in _FORBIDDEN_TARGETS or any(pure.is_relative_to(tree) for tree in _FORBIDDEN_TREES)
        if not pure.is_absolute() or ".." in pure.parts or "\0" in text or forbidden:
            raise InvalidInput(f"{shown(target)} cannot be mounted over", hint="Give an absolute path such as /data.")
        return Mount(self._source(source, who), str(pure), option == "ro")

    def with_added(self, app: App, mount: Mount) -> list[Mount]:
        """The app's mounts and this one; a directory kept by paas is made when it is not there yet."""
        present = self.of(app)
        for other in present:
            if other.target == mount.target:
                raise Conflict(f"{other} is mounted there already", hint=f"storage:unmount {app.name} {other}")
        self.prepare(mount)
        return [*present, mount]

    def prepare(self, mount: Mount) -> None:
        """Make a directory that paas keeps, when it is not there yet. Raises NotFound for one of the host."""
        if mount.source.is_relative_to(self._paths.storage):
            self._make(mount)
        elif not (mount.source.is_dir() or mount.source.is_file() or mount.source.is_socket()):
            raise NotFound(f"{mount.source} is neither a directory nor a file on this host", hint="Make it first.")

    def _make(self, mount: Mount) -> None:
        """One name at a time, past no symlink: a container can have made what lies below the first of them."""
        top = ensure_directory(self._paths.storage, mode=0o700)
        top.chmod(0o700)  # set-id programs may lie below, with their real owners: no user of the host may reach them
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(top, flags)
        try:
            for name in mount.source.relative_to(top).parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=opened)
                above, opened = opened, os.open(name, flags, dir_fd=opened)
                os.close(above)
        except OSError:
            raise InvalidInput(f"{mount.source} is no directory, or lies behind a symlink") from None
        finally:
            os.close(opened)

    def without(self, app: App, mount: Mount) -> list[Mount]:
        present = self.of(app)
        left = [other for other in present if (other.source, other.target) != (mount.source, mount.target)]
        if len(left) == len(present):
            raise NotFound(
                f"{mount} is not mounted in {app.name}",
                hint="It has: " + (", ".join(map(str, present)) or "none"),
            )
        return left

    def save(self, app: App, mounts: Iterable[Mount]) -> None:
        apps.set_mounts(self._db, app.id, mounts)

    def _source(self, text: str, who: Who) -> Path:
        path = Path(text)
        if not path.is_absolute():
            if not _PLAIN.fullmatch(text):
                raise InvalidInput(
                    f"{shown(text)} is neither a plain name nor an absolute path",
                    hint="A plain name has letters, digits, '_', '.' and '-', such as wiki-pages.",
                )
            return self._paths.storage / text
        if ".." in path.parts:
            raise InvalidInput(f"{shown(text)} contains '..'")
        if path.is_relative_to(self._paths.storage) and path != self._paths.storage:
            return path
        if not who.admin:
            raise Denied(
                f"Only an admin key may mount {shown(text)}, a directory of the host itself",
                hint=f"Use a plain name, such as data:/data; it is kept in {self._paths.storage}.",
            )
        return path
