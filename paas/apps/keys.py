"""SSH keys: who may use the front door."""

from __future__ import annotations

import base64
import binascii
import hashlib

from paas.errors import InvalidInput, NotFound
from paas.names import KeyName
from paas.state import people
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

    def list(self) -> list[SshKey]:
        return people.keys(self._db)

    def add(self, name: KeyName, text: str, *, admin: bool) -> SshKey:
        public_key, mark = parse_public_key(text)
        key = SshKey(name, mark, public_key, admin)
        people.insert_key(self._db, key)
        return key

    def remove(self, name_or_fingerprint: str) -> SshKey:
        for key in self.list():
            if name_or_fingerprint in (key.name, key.fingerprint):
                people.delete_key(self._db, key.fingerprint)
                return key
        raise NotFound(f"There is no key {name_or_fingerprint}", hint="ssh-keys:list shows them.")

    def identify(self, public_key: str) -> SshKey | None:
        """The key that a client has proved to hold, if it is one of ours."""
        try:
            return people.key_by_fingerprint(self._db, parse_public_key(public_key)[1])
        except InvalidInput:
            return None
