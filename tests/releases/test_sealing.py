"""What may be secret is encrypted in the database: all of it, also what an older version wrote in clear."""

from __future__ import annotations

import json
import sqlite3
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.names import AppName
from paas.state import apps, oneoffs
from paas.state.database import Database, now
from paas.state.oneoffs import OneOffRow
from paas.state.sealed import SEALED

SECRET = "correct-horse-battery-staple"
OPTIONS = json.dumps([f"--env TOKEN={SECRET}"])
ROWS = ("docker-options:deploy", "docker-options:deploy@web", "docker-options:build", "builder:http-proxy")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paas.db"


def fill(db: Database) -> int:
    app = apps.insert(db, AppName("shop"))
    apps.set_properties(db, app.id, {**dict.fromkeys(ROWS, OPTIONS), "builder:build-dir": "web"})
    command = ("login", SECRET)
    oneoffs.insert(db, OneOffRow("c" * 64, app.id, "run.1", command, IPv4Address("10.0.0.1"), "ann", now(), now()))
    return app.id


def on_disk(path: Path) -> bytes:
    return b"".join(each.read_bytes() for each in path.parent.glob("paas.db*"))


def check(db: Database, app: int) -> None:
    assert apps.properties(db, app) == {**dict.fromkeys(ROWS, OPTIONS), "builder:build-dir": "web"}
    assert apps.property(db, app, "docker-options:deploy") == OPTIONS
    assert [row.command for row in oneoffs.listing(db)] == [("login", SECRET)]


def test_written_sealed_and_read_again_with_a_new_key(path: Path) -> None:
    db = Database(path)
    app = fill(db)
    check(db, app)
    assert SECRET.encode() not in on_disk(path)
    db.change_key()
    check(db, app)
    assert len(path.with_suffix(".key").read_bytes().split()) == 1
    db.close()


def test_what_an_older_version_wrote_is_sealed_at_the_next_start(path: Path) -> None:
    db = Database(path)
    app = fill(db)
    for column in SEALED:
        if column.name != "config":
            with db.transaction() as connection:
                column.rewrite(connection, db.vault.open)
    db.execute("DELETE FROM sealed WHERE name NOT IN ('config.value', 'releases.config')")
    db.close()
    assert SECRET.encode() in on_disk(path)
    db = Database(path)
    check(db, app)
    assert SECRET.encode() not in on_disk(path), "nor in free pages or the log"
    db.close()
    with sqlite3.connect(path) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sealed")}
    assert names == {str(column) for column in SEALED}
    db = Database(path)
    check(db, app)
    db.close()
