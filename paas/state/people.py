"""Queries about SSH keys, the users they belong to, and what these may do; the event log is in events.py."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from paas.errors import Conflict
from paas.names import KeyName
from paas.state.apps import GLOBAL
from paas.state.database import Database, Row, now
from paas.state.events import record as record  # where everybody looks for it


@dataclass(frozen=True, slots=True)
class SshKey:
    """`name` is the user's, who may have several; `public_key` is `TYPE BASE64` without a comment; `fingerprint` is
    OpenSSH's `SHA256:...`."""

    name: KeyName
    fingerprint: str
    public_key: str
    admin: bool
    """Of the user."""


_KEYS = "SELECT ssh_keys.*, EXISTS (SELECT 1 FROM access WHERE user = name AND role = 'admin') AS admin FROM ssh_keys"


def _key(row: Row) -> SshKey:
    return SshKey(KeyName(row["name"]), row["fingerprint"], row["public_key"], bool(row["admin"]))


def keys(db: Database) -> list[SshKey]:
    return [_key(row) for row in db.query(f"{_KEYS} ORDER BY name, created")]


def key_by_fingerprint(db: Database, fingerprint: str) -> SshKey | None:
    row = db.one(f"{_KEYS} WHERE fingerprint = ?", (fingerprint,))
    return _key(row) if row else None


def insert_key(db: Database, name: KeyName, fingerprint: str, public_key: str) -> None:
    try:
        db.execute(
            "INSERT INTO ssh_keys (fingerprint, name, public_key, created) VALUES (?, ?, ?, ?)",
            (fingerprint, name, public_key, now()),
        )
    except sqlite3.IntegrityError:
        other = key_by_fingerprint(db, fingerprint)
        known = f", as {other.name}" if other else ""
        raise Conflict(f"This key is known already{known}", hint="ssh-keys:list shows all keys.") from None


def delete_key(db: Database, key: SshKey) -> None:
    """With a user's last key goes what the user may do: someone else may get the name later."""
    with db.transaction() as connection:
        connection.execute("DELETE FROM ssh_keys WHERE fingerprint = ?", (key.fingerprint,))
        connection.execute(
            "DELETE FROM access WHERE user = ? AND NOT EXISTS (SELECT 1 FROM ssh_keys WHERE name = ?)",
            (key.name, key.name),
        )


def users(db: Database) -> list[str]:
    return [row["name"] for row in db.query("SELECT DISTINCT name FROM ssh_keys ORDER BY name")]


# -- roles --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grant:
    """`app` is an app's id, or GLOBAL; `standard` says that it came with the user's first key."""

    user: str
    app: int
    role: str
    standard: bool


def grants(db: Database, user: str | None = None) -> list[Grant]:
    """Of one user, or of all."""
    rows = db.query("SELECT * FROM access WHERE ? IS NULL OR user = ? ORDER BY user, app, role", (user, user))
    return [Grant(row["user"], row["app"], row["role"], bool(row["standard"])) for row in rows]


def admins(db: Database) -> list[str]:
    return [row["user"] for row in db.query("SELECT user FROM access WHERE role = 'admin' ORDER BY user")]


def grant(db: Database, user: str, app: int, role: str, *, standard: bool = False) -> None:
    db.execute(
        "INSERT OR REPLACE INTO access (user, app, role, standard) VALUES (?, ?, ?, ?)",
        (user, app, role, int(standard)),
    )


def grant_creator(db: Database, user: str, app: int) -> None:
    """Whoever makes an app deploys it, unless that holds for all apps anyway or the host's root made it."""
    db.execute(
        "INSERT OR IGNORE INTO access (user, app, role) SELECT ?, ?, 'deploy'"
        " WHERE EXISTS (SELECT 1 FROM access WHERE user = ?)"
        " AND NOT EXISTS (SELECT 1 FROM access WHERE user = ? AND app = ? AND role IN ('deploy', 'admin'))",
        (user, app, user, user, GLOBAL),
    )


def revoke(db: Database, user: str, app: int, *, only: str | None = None, keep: str = "") -> int:
    """Take roles on an app away, or one of them, or all but one; returns how many."""
    return db.execute(
        "DELETE FROM access WHERE user = ? AND app = ? AND (? IS NULL OR role = ?) AND role <> ?",
        (user, app, only, only, keep),
    )


def revoke_all(db: Database, user: str) -> int:
    return db.execute("DELETE FROM access WHERE user = ?", (user,))


def drop_standard(db: Database, user: str) -> bool:
    """Take away what came with the first key."""
    return db.execute("DELETE FROM access WHERE user = ? AND standard = 1", (user,)) > 0
