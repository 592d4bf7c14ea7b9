"""Accounts of this host."""

from __future__ import annotations

import pwd

from paas.errors import SystemFailure


def account(user: str) -> tuple[int, int]:
    """(uid, gid) of an account. Raises SystemFailure when it does not exist."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise SystemFailure(f"There is no account {user!r}", hint=f"useradd --system {user}") from None
    return entry.pw_uid, entry.pw_gid
