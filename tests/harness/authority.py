"""A certificate authority for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_MAY_SIGN = (False, False, False, False, False, True, True, False, False)
"""Of the uses of a key, in the order of RFC 5280: to sign certificates and lists of revoked ones."""
_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """A root, and an intermediate that issues certificates."""

    def __init__(self) -> None:
        self._root_key, self._key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root = _name("Test Root")
        self._root = _sign(root, root, self._root_key, self._root_key, authority=True)
        self._intermediate = _sign(_name("Test Issuer"), root, self._key, self._root_key, authority=True)
        self.root_pem = _pem(self._root)
        self.intermediate_pem = _pem(self._intermediate)

    def issue(self, *hostnames: str, days: int = 90, key: _Key | None = None) -> tuple[str, str]:
        """(certificate alone, key), both PEM; the chain needs `intermediate_pem` after the certificate."""
        own = key or ec.generate_private_key(ec.SECP256R1())
        made = _sign(_name(hostnames[0]), self._intermediate.subject, own, self._key, hostnames, days)
        return _pem(made), key_pem(own)


def key_pem(key: _Key, passphrase: bytes | None = None) -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def _sign(
    subject: x509.Name,
    issuer: x509.Name,
    key: _Key,
    issuer_key: ec.EllipticCurvePrivateKey,
    hostnames: tuple[str, ...] = (),
    days: int = 90,
    *,
    authority: bool = False,
) -> x509.Certificate:
    end = datetime.now(UTC) + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=400))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(authority, None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if authority:
        builder = builder.add_extension(x509.KeyUsage(*_MAY_SIGN), True)
    if hostnames:
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in hostnames])
        builder = builder.add_extension(names, False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
