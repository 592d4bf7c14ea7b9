"""Storage: directories that outlive containers, and where they are mounted in those of an app."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from paas.apps.access import Access, Role
from paas.errors import Conflict, Denied, InvalidInput, NotFound
from paas.model import PHASES, Mount, Who
from paas.names import nearest, shown
from paas.paths import Paths
from paas.runtime import mounting
from paas.state import apps
from paas.state import storage as entries
from paas.state.apps import App
from paas.state.database import Database
from paas.state.storage import Entry
from paas.system.files import ensure_directory

OWNERS = {"heroku": 1000, "herokuish": 32767, "paketo": 2000, "root": 0, "false": None}
"""Dokku's names for whose a directory is made; false: nothing is changed."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_LAST_ID = 65535
"""Of the ids that containers have."""


def owner(text: str) -> int | None:
    """A name of OWNERS, or a user id. Raises InvalidInput."""
    if text in OWNERS:
        return OWNERS[text]
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= _LAST_ID):
        raise InvalidInput(
            f"{shown(text)} is not whose a directory can be", hint=f"Known: {', '.join(OWNERS)}, or 0 to {_LAST_ID}"
        )
    return int(text)


def entry_name(text: str) -> str:
    """Raises InvalidInput."""
    if not _NAME.fullmatch(text):
        raise InvalidInput(f"{shown(text)} is not a name for storage", hint="Use letters, digits, '-', '_' and '.'.")
    return text


def phases(text: str) -> tuple[str, ...]:
    """`deploy`, `run` or both with a comma. Raises InvalidInput."""
    words = text.split(",")
    if unknown := [word for word in words if word not in PHASES]:
        raise InvalidInput(f"{shown(unknown[0])} is not a phase of storage", hint=f"Known: {', '.join(PHASES)}")
    return tuple(phase for phase in PHASES if phase in words)


class Storage:
    def __init__(self, db: Database, paths: Paths) -> None:
        self._db = db
        self._paths = paths

    # -- what is mounted in an app --------------------------------------------------------------------------------

    def of(self, app: App) -> list[Mount]:
        return apps.mounts(self._db, app.id)

    def parse(self, text: str, who: Who) -> Mount:
        """`SOURCE:TARGET[:ro]`; SOURCE is a plain name (a directory paas keeps) or, for admins, a path on the host."""
        mount = mounting.volume(text, self._paths.storage)
        self.refuse_foreign(mount, who)
        return mount

    def refuse_foreign(self, mount: Mount, who: Who) -> None:
        """Raises Denied where somebody who is no admin would mount what paas does not keep, and where somebody who
        does not deploy all apps would mount what no app of theirs has mounted."""
        if who.admin:
            return
        if not self._kept(mount.source):
            raise Denied(
                f"Only an admin key may mount {shown(str(mount.source))}, a directory of the host itself",
                hint=f"Use a plain name, such as data:/data; it is kept in {self._paths.storage}.",
            )
        grants = Access(self._db).of(who)
        if grants.everywhere_at_least(Role.DEPLOY) or not os.path.lexists(mount.source):
            return
        theirs = (app for app in apps.listing(self._db) if grants.may(Role.DEPLOY, app))
        if not any(mount.source == present.source for app in theirs for present in self.of(app)):
            raise Denied(
                f"Access denied: {mount.source.name} exists, and no app that {who.name} deploys has it mounted",
                hint="Choose another name, or ask an admin to mount it.",
            )

    def with_added(self, app: App, mount: Mount) -> list[Mount]:
        """The app's mounts and this one; a directory kept by paas is made when it is not there yet."""
        present = self.of(app)
        for other in present:
            if other.target == mount.target and _meet(other, mount):
                raise Conflict(f"{other} is mounted there already", hint=f"storage:unmount {app.name} {other}")
        self.prepare(mount)
        return [*present, mount]

    def prepare(self, mount: Mount) -> None:
        """Make a directory that paas keeps, when it is not there yet. Raises NotFound for one of the host."""
        if self._kept(mount.source):
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
            for name in (mount.source / mount.subpath).relative_to(top).parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=opened)
                above, opened = opened, os.open(name, flags, dir_fd=opened)
                os.close(above)
        except OSError:
            where = mount.source / mount.subpath
            raise InvalidInput(f"{where} is no directory, or lies behind a symlink") from None
        finally:
            os.close(opened)

    def without(self, app: App, mount: Mount) -> list[Mount]:
        """Without the mounts of this directory on this target."""
        key = (mount.source, mount.subpath, mount.target)
        return self._without(app, str(mount), lambda other: (other.source, other.subpath, other.target) == key)

    def without_entry(self, app: App, name: str, target: str | None) -> list[Mount]:
        """Without the mounts of an entry: those on one target, or all."""
        return self._without(app, name, lambda other: other.entry == name and target in (None, other.target))

    def save(self, app: App, mounts: Iterable[Mount]) -> None:
        apps.set_mounts(self._db, app.id, mounts)

    # -- entries --------------------------------------------------------------------------------------------------

    def create(self, name: str, path: str | None, whose: int | None, who: Who) -> Entry:
        """A directory with a name: one that paas keeps or, for admins, one of the host at a path. Raises Conflict."""
        mount = mounting.mounted(path or entry_name(name), "/data", self._paths.storage, read_only=False)
        if mount.subpath:
            raise InvalidInput(
                f"{shown(path or '')} lies in other storage", hint="Mount a part of it: --volume-subpath"
            )
        self.refuse_foreign(mount, who)
        self.prepare(mount)
        entries.insert(self._db, entry_name(name), mount.source, whose)
        self.give(mount.source, whose)
        return self.entry(name)

    def entry(self, name: str) -> Entry:
        """Raises NotFound."""
        found = entries.find(self._db, name)
        if found is None:
            close = nearest(name, [known.name for known in self.entries()])
            hint = f"Did you mean {close[0]}?" if close else f"storage:create {name}"
            raise NotFound(f"There is no storage entry {shown(name)}", hint=hint)
        return found

    def entries(self) -> list[Entry]:
        return entries.listing(self._db)

    def users(self, found: Entry) -> list[tuple[str, str]]:
        """(app, target) of where an entry's directory is mounted."""
        return entries.mounted(self._db, found.path, found.name)

    def set_owner(self, name: str, whose: int | None, who: Who) -> None:
        found = self.entry(name)
        self.refuse_foreign(Mount(found.path, "/data"), who)
        self.give(found.path, whose)
        entries.set_owner(self._db, name, whose)

    def destroy(self, name: str, remove: Callable[[str], object] | None = None) -> None:
        """Forget an entry; `remove(directory)` is called before, if what it has is to go as well.

        Raises Conflict while an app mounts it, InvalidInput when the directory is the host's own.
        """
        found = self.entry(name)
        if users := self.users(found):
            app, target = users[0]
            raise Conflict(
                f"{name} is mounted in {', '.join(sorted({app for app, _ in users}))}",
                hint=f"storage:unmount {app} {found.path.name if self._kept(found.path) else found.path}:{target}",
            )
        if remove is not None:
            if not self._kept(found.path):
                raise InvalidInput(
                    f"{found.path} is the host's own", hint="paas removes only directories that it keeps itself."
                )
            if found.path.exists():
                remove(found.path.name)
        entries.delete(self._db, name)

    def ensure(self, name: str, whose: int | None, who: Who) -> Path:
        """A directory that paas keeps, there from now on."""
        mount = mounting.mounted(name, "/data", self._paths.storage, read_only=False)
        self.refuse_foreign(mount, who)
        if mount.subpath or not self._kept(mount.source):
            raise InvalidInput(
                f"{shown(name)} is not a name for a directory", hint=f"It is made in {self._paths.storage}."
            )
        self.prepare(mount)
        self.give(mount.source, whose)
        return mount.source

    def give(self, directory: Path, whose: int | None) -> None:
        """Make a directory and all in it somebody's, as containers know them. Symlinks are not followed."""
        if whose is None:
            return
        os.chown(directory, whose, whose, follow_symlinks=False)
        for _, directories, files, descriptor in os.fwalk(directory):
            for name in (*directories, *files):
                os.chown(name, whose, whose, dir_fd=descriptor, follow_symlinks=False)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _kept(self, path: Path) -> bool:
        return path.parent == self._paths.storage

    def _without(self, app: App, what: str, goes: Callable[[Mount], bool]) -> list[Mount]:
        present = self.of(app)
        left = [other for other in present if not goes(other)]
        if len(left) == len(present):
            raise NotFound(
                f"{what} is not mounted in {app.name}",
                hint="It has: " + (", ".join(map(str, present)) or "none"),
            )
        return left


def _meet(one: Mount, other: Mount) -> bool:
    """Whether a container could have both."""
    both_run = "run" in one.phases and "run" in other.phases
    types = not one.processes or not other.processes or set(one.processes) & set(other.processes)
    return both_run or ("deploy" in one.phases and "deploy" in other.phases and bool(types))
