"""Certificates and their keys: read from PEM, checked against each other, described, and made for trying."""

from __future__ import annotations

import contextlib
import functools
import re
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from paas.errors import InvalidInput
from paas.names import Hostname, shown

SIZE_LIMIT = 256 << 10
"""Bytes of a PEM file."""
_CHAIN_LIMIT = 10
_RSA_BITS = 2048
"""OpenSSL takes no shorter key at the security level that Debian sets."""
_SELF_SIGNED_DAYS = 365
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_KEY_BLOCK = re.compile(
    r"-----BEGIN ((?:RSA |EC )?PRIVATE KEY|ENCRYPTED PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL
)

_CERTIFICATE_BLOCK = re.compile(b"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that fits its key, with the chain that was given. `chain` and `key` are PEM."""

    leaf: x509.Certificate
    others: tuple[x509.Certificate, ...]
    chain: str
    key: str = field(repr=False)

    @property
    def hostnames(self) -> list[str]:
        """What it is for: its alternative names, or without any its common name."""
        try:
            names = self.leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            found = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
        except (x509.ExtensionNotFound, ValueError):
            common = self.leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            found = [str(name.value).lower() for name in common]
        return [name for name in found if _is_hostname(name)]

    def covers(self, hostname: str) -> bool:
        """Whether it is for a hostname; a wildcard covers one label, and a wildcard hostname only itself."""
        names = self.hostnames
        return hostname in names or ("." in hostname and f"*.{hostname.partition('.')[2]}" in names)

    @property
    def starts(self) -> datetime:
        return self.leaf.not_valid_before_utc

    @property
    def expires(self) -> datetime:
        return self.leaf.not_valid_after_utc

    @property
    def subject(self) -> str:
        return self.leaf.subject.rfc4514_string()

    @property
    def issuer(self) -> str:
        return self.leaf.issuer.rfc4514_string()

    def verified(self, authorities: Path = _AUTHORITIES) -> str:
        """Who vouches for it, in words; `authorities` is a file with the certificates of those that are trusted."""
        if self.leaf.issuer == self.leaf.subject:
            return "self signed"
        names = [name for name in self.hostnames if not name.startswith("*.")] or [
            name.replace("*", "www", 1) for name in self.hostnames
        ]
        try:
            verifier = (
                verification.PolicyBuilder()
                .store(_authorities(authorities))
                .build_server_verifier(x509.DNSName(names[0]))
            )
            verifier.verify(self.leaf, list(self.others))
        except (OSError, ValueError, IndexError):
            return "not verified: this host knows no authorities, or it is for no hostname"
        except verification.VerificationError:
            return "not verified by an authority that this host trusts"
        return "verified by a certificate authority"


@functools.cache
def _authorities(file: Path) -> verification.Store:
    """Those in a file; one that cannot be read is left out."""
    found = []
    for block in _CERTIFICATE_BLOCK.findall(file.read_bytes()):
        with contextlib.suppress(ValueError), warnings.catch_warnings(action="ignore"):
            found.append(x509.load_pem_x509_certificate(block))
    return verification.Store(found)


def read(chain: str, key: str) -> Certificate:
    """A certificate with its chain, and its key. Raises InvalidInput, which never shows anything of the key."""
    certificates = _certificates(chain)
    leaf, others = certificates[0], certificates[1:]
    private, pem = _key(key)
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*spki) != leaf.public_key().public_bytes(*spki):
        fitting = [c for c in others if c.public_key().public_bytes(*spki) == private.public_key().public_bytes(*spki)]
        if fitting:
            raise InvalidInput("The chain is in the wrong order", hint="Your own certificate comes first.")
        raise InvalidInput("The key does not belong to the certificate", hint="Are the two files of the same request?")
    for below, above in zip(certificates, others, strict=False):
        _check_issued(below, above)
    text = "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)
    return Certificate(leaf, tuple(others), text, pem)


def generate(hostnames: list[Hostname]) -> Certificate:
    """One signed by itself, for trying: browsers warn of it. Lasts a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostnames[0][:64])])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_SELF_SIGNED_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(hostname) for hostname in hostnames]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return read(made.public_bytes(serialization.Encoding.PEM).decode(), pem)


def _certificates(text: str) -> list[x509.Certificate]:
    if "PRIVATE KEY" in text and "BEGIN CERTIFICATE" not in text:
        raise InvalidInput("This is a key, where a certificate ought to be", hint="The certificate comes first.")
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise InvalidInput(
            "The certificate is not in PEM", hint="openssl x509 -inform der -in cert.der -out cert.pem converts it."
        )
    try:
        found = x509.load_pem_x509_certificates(text.encode())
        for certificate in found:
            certificate.extensions  # noqa: B018  read only when asked for
            certificate.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.UnsupportedGeneralNameType):
        raise InvalidInput("The certificate cannot be read", hint="Is the file whole?") from None
    if len(found) > _CHAIN_LIMIT:
        raise InvalidInput(f"The chain has {len(found)} certificates; {_CHAIN_LIMIT} is the limit")
    return found


_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def _key(text: str) -> tuple[_PrivateKey, str]:
    """The key and its own part of the text."""
    match = _KEY_BLOCK.search(text)
    if match is None:
        raise InvalidInput("There is no private key in PEM", hint="It begins with -----BEGIN PRIVATE KEY-----.")
    block = match[0] + "\n"
    if "ENCRYPTED" in block:
        raise InvalidInput(
            "The key is protected by a passphrase, which nobody could type when nginx starts",
            hint="openssl pkey -in server.key -out plain.key takes it away.",
        )
    try:
        key = serialization.load_pem_private_key(block.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidInput("The private key cannot be read", hint="Is the file whole?") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _RSA_BITS:
        raise InvalidInput(f"The key has {key.key_size} bits; RSA needs {_RSA_BITS}")
    if isinstance(key, ed448.Ed448PrivateKey) or not isinstance(key, _PrivateKey):
        raise InvalidInput("Keys of this kind do not serve for TLS", hint="Use RSA, ECDSA or Ed25519.")
    return key, block


def _check_issued(below: x509.Certificate, above: x509.Certificate) -> None:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise InvalidInput(
            f"The chain is in the wrong order, or a part is missing: {shown(above.subject.rfc4514_string())} did not"
            f" issue {shown(below.subject.rfc4514_string())}",
            hint="Each certificate is followed by the one that issued it.",
        ) from None


def _is_hostname(name: str) -> bool:
    try:
        Hostname(name)
    except InvalidInput:
        return False
    return True
