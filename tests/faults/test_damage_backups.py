"""Copies of the database, without a machine around them."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from paas.errors import Conflict, PaasError
from paas.state.backups import Backups
from paas.state.database import Database
from paas.state.migrations import MIGRATIONS


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "paas.db"
    Database(path).close()
    return path


def test_backups_made_at_once_have_numbers_of_their_own(database: Path) -> None:
    backups = Backups(database.parent / "backups")
    failed: list[PaasError] = []

    def make() -> None:
        try:
            backups.make(database, "asked")
        except PaasError as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [backup.number for backup in backups.listing()] == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 400, None], ids=["empty", "rubbish", "cut"])
def test_a_backup_that_is_damaged_is_refused_and_nothing_changed(database: Path, damage: bytes | None) -> None:
    backups = Backups(database.parent / "backups")
    backup = backups.make(database, "asked")
    backup.path.write_bytes(backup.path.read_bytes()[:8192] if damage is None else damage)
    before = database.read_bytes()
    with pytest.raises(Conflict, match="is damaged"):
        backups.restore(backup, database, len(MIGRATIONS))
    assert database.read_bytes() == before
    assert sorted(path.name for path in database.parent.iterdir()) == ["backups", "paas.db", "paas.key"]


def test_the_former_database_is_kept_whole(database: Path) -> None:
    backups = Backups(database.parent / "backups")
    backup = backups.make(database, "asked")
    changed = Database(database)
    changed.execute("INSERT INTO apps (name, created) VALUES ('late', '')")
    former = backups.restore(backup, database, len(MIGRATIONS))
    changed.close()
    assert former is not None
    for path, names in ((former, [("late",)]), (database, [])):
        connection = sqlite3.connect(path)
        assert connection.execute("SELECT name FROM apps").fetchall() == names
        connection.close()
