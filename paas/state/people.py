"""Queries about SSH keys and the event log."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from paas.errors import Conflict
from paas.model import Who
from paas.names import KeyName
from paas.state.database import Database, Row, now


@dataclass(frozen=True, slots=True)
class SshKey:
    """`public_key` is `TYPE BASE64` without a comment; `fingerprint` is OpenSSH's `SHA256:...`."""

    name: KeyName
    fingerprint: str
    public_key: str
    admin: bool


def _key(row: Row) -> SshKey:
    return SshKey(KeyName(row["name"]), row["fingerprint"], row["public_key"], bool(row["admin"]))


def keys(db: Database) -> list[SshKey]:
    return [_key(row) for row in db.query("SELECT * FROM ssh_keys ORDER BY name")]


def key_by_fingerprint(db: Database, fingerprint: str) -> SshKey | None:
    row = db.one("SELECT * FROM ssh_keys WHERE fingerprint = ?", (fingerprint,))
    return _key(row) if row else None


def insert_key(db: Database, key: SshKey) -> None:
    try:
        db.execute(
            "INSERT INTO ssh_keys (fingerprint, name, public_key, admin, created) VALUES (?, ?, ?, ?, ?)",
            (key.fingerprint, key.name, key.public_key, int(key.admin), now()),
        )
    except sqlite3.IntegrityError:
        other = key_by_fingerprint(db, key.fingerprint)
        if other is not None:
            raise Conflict(f"This key is known already, as {other.name}") from None
        raise Conflict(
            f"There is a key named {key.name} already", hint=f"Remove it first: ssh-keys:remove {key.name}"
        ) from None


def delete_key(db: Database, fingerprint: str) -> None:
    db.execute("DELETE FROM ssh_keys WHERE fingerprint = ?", (fingerprint,))


@dataclass(frozen=True, slots=True)
class Event:
    at: str
    who: str
    address: str
    app: str
    action: str
    detail: str


def record(db: Database, who: Who, app: str, action: str, detail: str = "") -> None:
    """Append to the event log. `detail` must hold no secret: names of config vars, never their values."""
    db.execute(
        "INSERT INTO events (at, who, address, app, action, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (now(), who.name, who.address, app, action, detail),
    )


def events(db: Database, app: str | None, limit: int) -> list[Event]:
    """The last `limit` events, oldest first."""
    rows = db.query(
        "SELECT at, who, address, app, action, detail FROM events WHERE ? IS NULL OR app = ? ORDER BY id DESC LIMIT ?",
        (app, app, limit),
    )
    return [Event(*row) for row in reversed(rows)]
