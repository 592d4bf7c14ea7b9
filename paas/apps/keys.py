"""SSH keys: who may use the front door."""

from __future__ import annotations

import base64
import binascii
import hashlib

from paas.errors import InvalidInput, NotFound
from paas.names import KeyName, shown
from paas.state import people
from paas.state.apps import GLOBAL
from paas.state.database import Database
from paas.state.people import SshKey

_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
)


def parse_public_key(text: str) -> tuple[str, str]:
    """One line of an OpenSSH `.pub` file to (`TYPE BASE64`, fingerprint as `SHA256:BASE64`)."""
    words = text.strip().split()
    if "PRIVATE KEY" in text:
        raise InvalidInput("This is a private key; it must not leave your machine", hint="Pass the .pub file instead.")
    if words and words[0].startswith("sk-"):
        raise InvalidInput("Keys of hardware tokens (sk-...) cannot be checked yet", hint="Use an ed25519 key.")
    if len(words) < 2 or words[0] not in _TYPES or "\n" in text.strip():
        raise InvalidInput("This is not an OpenSSH public key", hint="Pass one line such as ~/.ssh/id_ed25519.pub has.")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error:
        raise InvalidInput("The key's base64 text is damaged") from None
    kind = words[0].encode()
    if not blob.startswith(len(kind).to_bytes(4, "big") + kind):
        raise InvalidInput("The key's text does not fit its type")
    return f"{words[0]} {words[1]}", fingerprint(blob)


def fingerprint(blob: bytes) -> str:
    """OpenSSH's SHA256 fingerprint of a public key's wire form (RFC 4253, 6.6)."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


class Keys:
    def __init__(self, db: Database) -> None:
        self._db = db

    def every(self) -> list[SshKey]:
        return people.keys(self._db)

    def add(self, name: KeyName, text: str, role: str | None, usual: str) -> SshKey:
        """Add a key of a user. A new user gets `role` on all apps, or the `usual` one, which an access:add later takes
        the place of; `none` for nothing. One who is known keeps what there is, unless a role is given."""
        public_key, mark = parse_public_key(text)
        with self._db.transaction():
            known = name in people.users(self._db)
            people.insert_key(self._db, name, mark, public_key)
            if role not in (None, "none"):
                people.drop_standard(self._db, name)
                people.grant(self._db, name, GLOBAL, str(role))
            elif role is None and not known and usual != "none":
                people.grant(self._db, name, GLOBAL, usual, standard=True)
        found = people.key_by_fingerprint(self._db, mark)
        assert found is not None
        return found

    def remove(self, name_or_fingerprint: str) -> list[SshKey]:
        """Remove all keys of a user, or one by its fingerprint."""
        found = [key for key in self.every() if name_or_fingerprint in (key.name, key.fingerprint)]
        if not found:
            raise NotFound(f"There is no key {shown(name_or_fingerprint)}", hint="ssh-keys:list shows them.")
        with self._db.transaction():
            for key in found:
                people.delete_key(self._db, key)
        return found

    def identify(self, public_key: str) -> SshKey | None:
        """The key that a client has proved to hold, if it is one of ours."""
        try:
            return people.key_by_fingerprint(self._db, parse_public_key(public_key)[1])
        except InvalidInput:
            return None
