"""Logins for registries, in the form of Docker's config.json (`auths`), readable for root alone."""

from __future__ import annotations

import base64
import binascii
import json
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.errors import InvalidInput, SystemFailure
from paas.image.reference import DOCKER_HUB
from paas.system.files import write_atomic

_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""What Docker calls docker.io in this file."""


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Credentials:
    def __init__(self, file: Path, below: Credentials | None = None) -> None:
        """`below` are asked for a registry that these have no login for."""
        self._file = file
        self._below = below
        self._lock = threading.Lock()

    def get(self, registry: str) -> Login | None:
        entry = self._auths().get(_key(registry))
        text = entry.get("auth") if isinstance(entry, dict) else None
        if not isinstance(text, str):
            return self._below.get(registry) if self._below else None
        try:
            user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return Login(user, password) if colon else None

    def set(self, registry: str, login: Login) -> None:
        """Raises InvalidInput for what the file's form has no room for."""
        if not login.user or ":" in login.user or any(ord(char) < 32 for char in login.user + login.password):
            raise InvalidInput("A user's name has no colon, and neither it nor the password control characters")
        text = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        with self._lock:
            self._write(self._auths() | {_key(registry): {"auth": text}})

    def remove(self, registry: str) -> bool:
        """Whether there was a login."""
        with self._lock:
            auths = self._auths()
            found = auths.pop(_key(registry), None) is not None
            if found:
                self._write(auths)
        return found

    def registries(self) -> list[str]:
        return sorted(DOCKER_HUB if key == _DOCKER_HUB_KEY else key for key in self._auths())

    def _auths(self) -> dict[str, Any]:
        try:
            value = json.loads(self._file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise SystemFailure(f"{self._file} cannot be read", hint="Mend or remove it, then log in again.") from error
        auths = value.get("auths") if isinstance(value, dict) else None
        return auths if isinstance(auths, dict) else {}

    def _write(self, auths: dict[str, Any]) -> None:
        write_atomic(self._file, json.dumps({"auths": auths}, indent=2, sort_keys=True) + "\n", mode=0o600)


def _key(registry: str) -> str:
    return _DOCKER_HUB_KEY if registry == DOCKER_HUB else registry
