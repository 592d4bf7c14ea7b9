"""The connection: WAL, foreign keys, synchronous=FULL; every change is one transaction, secrets are encrypted."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from paas.errors import Damaged, DiskFull, SystemFailure, TooNew
from paas.faults import reached
from paas.state.backups import Backups
from paas.state.migrations import MIGRATIONS
from paas.state.sealed import SEALED
from paas.state.vault import Vault
from paas.system.disk import Reserve, is_full

Row = sqlite3.Row
_PAGES = 64 << 10
"""Bytes that SQLite's shared memory grows by, and then some."""


class Database:
    """One connection shared by all threads, one transaction at a time. Reads inside `transaction` see its changes."""

    def __init__(self, path: Path, backups: Backups | None = None, reserve: Reserve | None = None) -> None:
        """`backups`: where a copy goes before the schema is changed. `reserve` is given up when the disk is full.

        Raises TooNew, and has changed nothing; Damaged; SystemFailure.
        """
        self.path = path
        self._reserve = reserve
        self._lock = threading.RLock()
        self._depth = 0
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.close(descriptor)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        except (OSError, sqlite3.DatabaseError) as error:
            raise SystemFailure(f"The database {path} cannot be opened: {error}") from error
        try:
            self._open(path, backups)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, sqlite3.DatabaseError | OSError):
                raise self._failure(error, f"The database {path} cannot be opened") from error
            raise

    def _open(self, path: Path, backups: Backups | None) -> None:
        self._connection.row_factory = sqlite3.Row
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise TooNew(
                f"The database was written by a newer paas (schema {version}, this one knows {len(MIGRATIONS)})",
                hint="Start the newer version again, or restore a backup made by this one: paas system:restore",
            )
        (problem,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if problem != "ok":
            raise Damaged(
                f"The database {path} is damaged: {problem}", hint="paas system:check shows more; paas system:restore"
            )
        for pragma in ("journal_mode = WAL", "foreign_keys = ON", "synchronous = FULL", "busy_timeout = 10000"):
            self._connection.execute(f"PRAGMA {pragma}")
        if 0 < version < len(MIGRATIONS) and backups is not None:
            backups.make(path, "upgrade")
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._connection.executescript(f"BEGIN;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        self.vault = Vault(path.with_suffix(".key"), new=not self.query("SELECT 1 FROM sealed"))
        self._seal()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing. Nested calls join the outer transaction.

        One that is not `durable` may be lost, as a whole, when the machine crashes; it does not wait for the disk.
        """
        with self._lock:
            if self._depth:
                yield self._connection
                return
            if self._reserve is not None:
                self._reserve.ease()
            self._depth += 1
            try:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._roll_back()
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                self._roll_back()
                if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
                    raise self._failure(error, "The database refused a change") from error
                raise
            finally:
                self._depth -= 1

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # SQLite itself does it when the disk is full
            self._connection.execute("ROLLBACK")

    def _failure(self, error: Exception, what: str) -> SystemFailure:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL or is_full(error):
            return DiskFull("The disk is full; nothing was changed")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return Damaged(
                f"The database {self.path} is damaged", hint="paas system:check shows more; paas system:restore"
            )
        if code == sqlite3.SQLITE_IOERR and shutil.disk_usage(self.path.parent).free < _PAGES:
            return DiskFull("The disk is full; nothing was changed")  # its shared memory could not grow
        return SystemFailure(f"{what}: {error}")

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Nobody else changes anything inside the block."""
        with self._lock:
            yield

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._reading():
            return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Row | None:
        with self._reading():
            row: Row | None = self._connection.execute(sql, parameters).fetchone()
            return row

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.DatabaseError as error:
                if self._depth or (getattr(error, "sqlite_errorcode", 0) & 0xFF) not in (
                    sqlite3.SQLITE_CORRUPT,
                    sqlite3.SQLITE_NOTADB,
                    sqlite3.SQLITE_IOERR,
                ):
                    raise  # `transaction` will map it; or the words are wrong
                raise self._failure(error, "The database cannot be read") from error

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """One statement as a transaction of its own (or part of the one that is open); returns the rows changed."""
        with self.transaction() as connection:
            return connection.execute(sql, parameters).rowcount

    def _seal(self) -> None:
        """Encrypt what an older version wrote in clear, once, and leave no trace of it in the file."""
        missing = [column for column in SEALED if not self.query("SELECT 1 FROM sealed WHERE name = ?", (str(column),))]
        if not missing:
            return
        with self.transaction() as connection:
            for column in missing:
                column.rewrite(connection, self.vault.seal)
                connection.execute("INSERT INTO sealed (name) VALUES (?)", (str(column),))
        self._erase_old()

    def change_key(self) -> None:
        """Encrypt all secrets with a new key. Killed half way, everything can still be read, and it can be repeated."""
        self.vault.add_key()
        reached("rekey:key-added")
        with self.transaction() as connection:
            for column in SEALED:
                column.rewrite(connection, lambda token: self.vault.seal(self.vault.open(token)))
        reached("rekey:rewritten")
        self._erase_old()
        reached("rekey:erased")
        self.vault.drop_old_keys()

    def _erase_old(self) -> None:
        """Replaced rows stay in free pages and in the write-ahead log until both are written anew."""
        with self._lock:
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def now() -> str:
    """The present time as the database keeps times: UTC, RFC 3339, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
