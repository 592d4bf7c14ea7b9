"""Hashes of passwords as nginx checks them, by crypt(3)."""

from __future__ import annotations

import re

import bcrypt

from paas.errors import InvalidInput
from paas.names import shown

_COST = 6
"""nginx hashes again for each request, and its worker serves nobody meanwhile: some milliseconds are enough."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)


def user_name(text: str) -> str:
    """Raises InvalidInput."""
    if not _NAME.fullmatch(text):
        raise InvalidInput(f"{shown(text)} is not a user's name", hint="Use letters, digits, '.', '_', '@', '+', '-'.")
    return text


def hashed(password: str) -> str:
    """Raises InvalidInput, which never shows the password."""
    data = password.encode("utf-8", "surrogateescape")
    if not 1 <= len(data) <= 72 or any(byte < 32 or byte == 127 for byte in data):
        raise InvalidInput("A password has 1 to 72 bytes and no control characters")
    return bcrypt.hashpw(data, bcrypt.gensalt(_COST)).decode()
