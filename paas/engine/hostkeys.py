"""The SSH host keys: made once, read and used by the engine alone. The front door asks for each signature."""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from paas.engine.sshwire import ecdsa_hash, ecdsa_signature, string
from paas.errors import SystemFailure
from paas.system import run as system
from paas.system.files import ensure_directory, sync_directory

KINDS = ("ed25519", "ecdsa")
"""In the order in which they are preferred."""


@dataclass(frozen=True, slots=True)
class HostKey:
    """`kind` as SSH names it; `blob` is the public half's wire form (RFC 4253, 6.6)."""

    kind: str
    blob: bytes
    private: Ed25519PrivateKey | EllipticCurvePrivateKey = field(repr=False)

    @property
    def public(self) -> str:
        """`TYPE BASE64`."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    def sign(self, data: bytes) -> bytes:
        """An SSH signature: some 50 microseconds."""
        if isinstance(self.private, Ed25519PrivateKey):
            signature = self.private.sign(data)
        else:
            signature = ecdsa_signature(self.private.sign(data, ecdsa_hash(self.private)))
        return string(self.kind) + string(signature)


def ensure_host_keys(directory: Path) -> list[HostKey]:
    """Make the keys that are missing, and let root alone read them all, which former versions showed the front door's
    account. Raises SystemFailure when one cannot be read."""
    ensure_directory(directory, mode=0o700)
    os.chown(directory, 0, 0)
    directory.chmod(0o700)
    for kind in KINDS:
        path = directory / f"host_{kind}"
        if path.exists():
            os.chown(path, 0, 0)
            path.chmod(0o600)
            continue
        temporary = directory / f".{kind}.{secrets.token_hex(4)}"
        system.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "paas", "-m", "PEM", "-f", str(temporary)])
        temporary.with_name(temporary.name + ".pub").rename(path.with_name(path.name + ".pub"))
        temporary.rename(path)
        sync_directory(directory)
    return [_load(directory / f"host_{kind}") for kind in KINDS]


def _load(path: Path) -> HostKey:
    try:
        data = path.read_bytes()
        private = (load_ssh_private_key if b"OPENSSH" in data else load_pem_private_key)(data, None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SystemFailure(f"The host key {path} cannot be read: {error}", hint="paas system:check --repair") from None
    if not isinstance(private, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise SystemFailure(f"The host key {path} is of a kind that cannot be used")
    kind, text = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode().split()
    return HostKey(kind, base64.b64decode(text), private)
