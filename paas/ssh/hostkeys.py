"""Host keys: made once by the engine, readable by the front door's account only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from paas.system import run as system
from paas.system.files import ensure_directory, sync_directory

KINDS = ("ed25519", "ecdsa")


def ensure_host_keys(directory: Path, owner: tuple[int, int]) -> None:
    """Make the keys that are missing, owned by root, readable by `owner`'s group."""
    ensure_directory(directory, mode=0o750, owner=(0, owner[1]))
    for kind in KINDS:
        path = directory / f"host_{kind}"
        if path.exists():
            continue
        temporary = directory / f".{kind}.{secrets.token_hex(4)}"
        system.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "paas", "-m", "PEM", "-f", str(temporary)])
        temporary.with_name(temporary.name + ".pub").rename(path.with_name(path.name + ".pub"))
        os.chown(temporary, 0, owner[1])
        temporary.chmod(0o640)
        temporary.rename(path)
        sync_directory(directory)
