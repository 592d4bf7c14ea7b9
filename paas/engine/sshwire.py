"""What SSH hashes and signs, in its own form (RFC 4251, 5), and the check of a user's signature. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from paas.errors import Denied, InvalidInput

_USERAUTH_REQUEST = 50
_RSA: Mapping[str, hashes.HashAlgorithm] = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}


def string(data: bytes | str) -> bytes:
    """With its length before it."""
    body = data.encode() if isinstance(data, str) else data
    return len(body).to_bytes(4, "big") + body


def strings(data: bytes, count: int) -> list[bytes]:
    """The first `count` strings of `data`. Raises InvalidInput when there are fewer."""
    found: list[bytes] = []
    at = 0
    for _ in range(count):
        start = at + 4
        at = start + int.from_bytes(data[at:start], "big")
        if start > len(data) or at > len(data):
            raise InvalidInput("What was signed has another form")
        found.append(data[start:at])
    return found


def ecdsa_signature(der: bytes) -> bytes:
    """From X.509's form to SSH's (RFC 5656, 3.1.2)."""
    return b"".join(
        string(number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in decode_dss_signature(der)
    )


def ecdsa_hash(key: EllipticCurvePrivateKey | EllipticCurvePublicKey) -> ECDSA:
    """The one that belongs to a curve (RFC 5656, 6.2.1)."""
    size = key.curve.key_size
    return ECDSA(hashes.SHA256() if size <= 256 else hashes.SHA384() if size <= 384 else hashes.SHA512())


def login_request(session: bytes, user: str, algorithm: str, key: bytes) -> bytes:
    """What a client signs to log in with a key (RFC 4252, 7)."""
    head = string(session) + bytes([_USERAUTH_REQUEST]) + string(user) + string("ssh-connection") + string("publickey")
    return head + b"\1" + string(algorithm) + string(key)


def check_signature(public_key: str, algorithm: str, signature: bytes, data: bytes) -> None:
    """Raises Denied unless the holder of `public_key` (`TYPE BASE64`) has signed `data` by `algorithm`.

    Certificates are keys of another type, which is none of those here.
    """
    kind, found = public_key.split()[0], load_ssh_public_key(public_key.encode())
    name, body = strings(signature, 2)
    if name != algorithm.encode() or (kind != algorithm and (kind != "ssh-rsa" or algorithm not in _RSA)):
        raise Denied("The signature is of another kind than the key")
    try:
        match found:
            case Ed25519PublicKey():
                found.verify(body, data)
            case RSAPublicKey() if algorithm in _RSA:
                whole = body.rjust(found.key_size // 8, b"\0")  # PuTTY leaves zeros out that it begins with
                found.verify(whole, data, padding.PKCS1v15(), _RSA[algorithm])
            case EllipticCurvePublicKey():
                r, s = (int.from_bytes(number, "big", signed=True) for number in strings(body, 2))
                found.verify(encode_dss_signature(r, s), data, ecdsa_hash(found))
            case _:
                raise Denied("Signatures of this kind are not taken")
    except InvalidSignature:
        raise Denied("The signature is not one of this key") from None


def key_text(blob: bytes) -> str:
    """`TYPE BASE64` of a public key's wire form. Raises InvalidInput when it has no type."""
    kind = strings(blob, 1)[0].decode("ascii", "replace")
    return f"{kind} {base64.b64encode(blob).decode()}"
