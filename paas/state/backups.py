"""Copies of the database: made while it is in use, checked, and few are kept.

The names order them by number, not by time: clocks are set back. Secrets are in them as they are in the database,
encrypted with the key that lies beside that: a copy for another place needs both.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from paas.errors import Conflict, Damaged, DiskFull, NotFound, SystemFailure
from paas.faults import reached
from paas.names import nearest, shown
from paas.output import human_bytes
from paas.system.disk import is_full, spare
from paas.system.files import ensure_directory, sync_directory

Reason = Literal["daily", "asked", "upgrade", "restore"]
"""Why it was made: every day, by a command, before another schema, before an older one took its place."""
HALF = ".tmp-"
"""How the name of a copy begins while it is being made."""
_KEPT: dict[str, int] = {"daily": 7, "asked": 7, "upgrade": 3, "restore": 3}
_NAME = re.compile(r"(\d{4,})-(daily|asked|upgrade|restore)-schema(\d+)-(\d{8}T\d{6}Z)\.db")


@dataclass(frozen=True, slots=True)
class Backup:
    path: Path
    number: int
    reason: str
    schema: int
    made: str
    """RFC 3339."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


class Backups:
    """Thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._making = threading.Lock()

    def listing(self) -> list[Backup]:
        """The newest first."""
        found = [_parsed(entry) for entry in self._directory.iterdir()] if self._directory.is_dir() else []
        return sorted(filter(None, found), key=lambda backup: backup.number, reverse=True)

    def find(self, name: str) -> Backup:
        """By its name or number. Raises NotFound."""
        known = self.listing()
        for backup in known:
            if name == backup.name or (name.isdecimal() and int(name) == backup.number):
                return backup
        close = nearest(name, [backup.name for backup in known])
        hint = f"Did you mean {close[0]}?" if close else "system:backups lists those that there are."
        raise NotFound(f"There is no backup {shown(name)}", hint=hint)

    def age(self) -> float | None:
        """Seconds since the newest was made; None when there is none."""
        newest = next(iter(self.listing()), None)
        return None if newest is None else abs(time.time() - newest.path.stat().st_mtime)

    def make(self, database: Path, reason: Reason) -> Backup:
        """Copy a database that others may be using. Raises Damaged, DiskFull, SystemFailure; then there is none."""
        with self._making:  # two at once would have the same number
            return self._make(database, reason)

    def _make(self, database: Path, reason: Reason) -> Backup:
        ensure_directory(self._directory, mode=0o700)
        size = database.stat().st_size
        free = shutil.disk_usage(self._directory).free
        if free < size + spare(self._directory):
            raise DiskFull(f"The disk is full: {human_bytes(free)} are left, too little for a backup of the database")
        number = max((backup.number for backup in self.listing()), default=0) + 1
        temporary = self._directory / f"{HALF}{number}"
        try:
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            with _opened(database) as source, _opened(temporary) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # so that it is one file
                schema = int(copy.execute("PRAGMA user_version").fetchone()[0])
                problem = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise Damaged(f"The database is damaged, a copy of it is no backup: {problem}")
            _sync(temporary)
            reached("backup:copied")
            made = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            path = self._directory / f"{number:04}-{reason}-schema{schema}-{made}.db"
            temporary.rename(path)
            sync_directory(self._directory)
        except (OSError, sqlite3.DatabaseError) as error:
            if is_full(error):
                raise DiskFull() from error
            raise SystemFailure(f"The database cannot be copied: {error}") from error
        finally:
            temporary.unlink(missing_ok=True)
        self._trim(reason)
        return next(backup for backup in self.listing() if backup.path == path)

    def restore(self, backup: Backup, database: Path, most: int) -> Path | None:
        """Put a backup in the place of the database, which no engine may be using; returns where that lies now.

        Raises Conflict, when the backup has another schema than `most` or an older one, or is damaged.
        """
        try:
            with _opened(backup.path) as copy:
                problem = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
                if copy.execute("PRAGMA user_version").fetchone()[0] != backup.schema:
                    problem = "its schema is not what its name says"  # SQLite takes an empty file for a whole database
        except sqlite3.DatabaseError as error:
            problem = str(error)
        if problem != "ok":
            raise Conflict(f"The backup {backup.name} is damaged: {problem}", hint="system:backups lists the others.")
        if backup.schema > most:
            raise Conflict(
                f"The backup {backup.name} has schema {backup.schema}, this paas knows {most}",
                hint="Take one that is not newer, or a newer paas.",
            )
        temporary = database.with_name(".restored")
        try:
            shutil.copyfile(backup.path, temporary)
            temporary.chmod(0o600)
            _sync(temporary)
            former = _set_aside(database)
            temporary.rename(database)
            sync_directory(database.parent)
        except OSError as error:
            raise DiskFull() from error if is_full(error) else SystemFailure(f"{error}")
        finally:
            temporary.unlink(missing_ok=True)
        return former

    def _trim(self, reason: str) -> None:
        alike = [backup for backup in self.listing() if backup.reason == reason]
        for backup in alike[_KEPT[reason] :]:
            backup.path.unlink(missing_ok=True)


def _set_aside(database: Path) -> Path | None:
    """Give a database another name beside its own, so that at no moment there is none; its write-ahead log moves."""
    if not database.exists():
        return None
    number = 1
    while (former := database.with_name(f"{database.name}.former-{number}")).exists():
        number += 1
    for end in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            database.with_name(database.name + end).rename(former.with_name(former.name + end))
    os.link(database, former)
    return former


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=10)) as connection:
        yield connection


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parsed(path: Path) -> Backup | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    made = datetime.strptime(match[4], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return Backup(path, int(match[1]), match[2], int(match[3]), made.isoformat().replace("+00:00", "Z"))
