"""The resolv.conf of containers: the host's name servers, as far as a container can reach them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

_CANDIDATES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
_FALLBACK = "nameserver 1.1.1.1\nnameserver 9.9.9.9\n"
"""For hosts whose only name server listens on loopback, where containers do not get."""


def resolv_conf(candidates: Sequence[Path] = _CANDIDATES) -> str:
    """The first file with a name server that containers reach: over IPv4 (they have nothing else), not on loopback."""
    for path in candidates:
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        kept = [line for line in lines if not _unreachable(line)]
        if any(line.split()[:1] == ["nameserver"] for line in kept):
            return "\n".join(kept) + "\n"
    return _FALLBACK


def _unreachable(line: str) -> bool:
    words = line.split()
    if len(words) < 2 or words[0] != "nameserver":
        return False
    try:
        return ipaddress.IPv4Address(words[1]).is_loopback
    except ValueError:
        return True
