"""Secrets at rest: encrypted with a key that lies beside the database, in a file of its own.

A value is a Fernet token (https://github.com/fernet/spec: AES-128-CBC, HMAC-SHA256). The file has one key in each line;
the first encrypts, all decrypt: while keys are changed there are two.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from paas.errors import SystemFailure
from paas.system.files import write_atomic


class Vault:
    def __init__(self, path: Path, *, new: bool) -> None:
        """`new`: nothing has been encrypted yet, so that a key may be made. Raises SystemFailure when there is none."""
        self.path = path
        if not path.exists():
            if not new:
                raise SystemFailure(
                    f"{path} is missing: it has the key of the secrets in the database",
                    hint="Put it back from a backup; without it config vars cannot be read.",
                )
            self._write([Fernet.generate_key()])
        self._load()

    def seal(self, text: str) -> str:
        return self._keys.encrypt(text.encode("utf-8", "surrogateescape")).decode("ascii")

    def open(self, token: str) -> str:
        """Raises SystemFailure when the key is not the one that it was sealed with."""
        try:
            return self._keys.decrypt(token.encode("ascii")).decode("utf-8", "surrogateescape")
        except (InvalidToken, UnicodeEncodeError):
            raise SystemFailure(
                "A secret in the database was encrypted with another key",
                hint=f"Put back {self.path} as it was when this database was in use.",
            ) from None

    def add_key(self) -> None:
        """From now on encrypt with a new key; what was encrypted with older ones can still be read."""
        self._write([Fernet.generate_key(), *self._lines()])
        self._load()

    def drop_old_keys(self) -> None:
        """To be called once everything is encrypted with the newest."""
        self._write(self._lines()[:1])
        self._load()

    def _lines(self) -> list[bytes]:
        return self.path.read_bytes().split()

    def _load(self) -> None:
        try:
            self._keys = MultiFernet([Fernet(line) for line in self._lines()])
        except (ValueError, OSError):
            raise SystemFailure(f"{self.path} does not hold a key", hint="Put it back from a backup.") from None

    def _write(self, keys: list[bytes]) -> None:
        write_atomic(self.path, b"".join(key + b"\n" for key in keys), mode=0o600)
