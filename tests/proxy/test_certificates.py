"""Which certificates and keys are taken."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from paas.errors import InvalidInput
from paas.names import Hostname
from paas.proxy import certificates
from tests.harness.authority import Authority, key_pem

AUTHORITY = Authority()
CRT, KEY = AUTHORITY.issue("a.example.com", "*.b.example.com")
CHAIN = AUTHORITY.intermediate_pem


def test_a_certificate_with_its_chain() -> None:
    found = certificates.read(CRT + CHAIN + AUTHORITY.root_pem, KEY)
    assert found.hostnames == ["a.example.com", "*.b.example.com"]
    assert found.subject == "CN=a.example.com" and found.issuer == "CN=Test Issuer"
    assert found.chain.count("BEGIN CERTIFICATE") == 3
    assert [found.covers(name) for name in ("a.example.com", "x.b.example.com", "*.b.example.com")] == [True] * 3
    assert [found.covers(name) for name in ("b.example.com", "x.y.b.example.com", "example.com")] == [False] * 3
    assert found.verified() == "not verified by an authority that this host trusts"
    assert "PRIVATE" not in repr(found)


def test_one_that_a_trusted_authority_issued(tmp_path: Path) -> None:
    trusted = tmp_path / "authorities"
    trusted.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + AUTHORITY.root_pem)
    crt, key = AUTHORITY.issue("a.example.com")
    assert certificates.read(crt + CHAIN, key).verified(trusted) == "verified by a certificate authority"
    assert certificates.read(crt, key).verified(trusted).startswith("not verified"), "the chain is missing"
    wildcard = certificates.read(*(a + b for a, b in zip(AUTHORITY.issue("*.example.com"), (CHAIN, ""), strict=True)))
    assert wildcard.verified(trusted) == "verified by a certificate authority"
    assert wildcard.verified(tmp_path / "nothing").startswith("not verified")


def test_one_signed_by_itself() -> None:
    found = certificates.generate([Hostname("a.example.com"), Hostname("b.example.com")])
    assert found.hostnames == ["a.example.com", "b.example.com"] and found.verified() == "self signed"
    assert certificates.read(found.chain, found.key).hostnames == found.hostnames


def test_text_around_the_pem_blocks_is_left_out() -> None:
    found = certificates.read(f"subject=...\n{CRT}\n{CHAIN}", f"-----BEGIN EC PARAMETERS-----\nx\n\n{KEY}# end")
    assert "subject" not in found.chain and found.key == KEY


OTHER = AUTHORITY.issue("other.example.com")
RSA_1024 = rsa.generate_private_key(65537, 1024)
DER = base64.b64decode("".join(CRT.splitlines()[1:-1])).decode("latin-1")


@pytest.mark.parametrize(
    ("crt", "key", "words"),
    [
        (CRT, OTHER[1], "does not belong"),
        (CHAIN + CRT, KEY, "wrong order"),
        (CRT + AUTHORITY.root_pem + CHAIN, KEY, "wrong order, or a part is missing"),
        (CRT + OTHER[0], KEY, "did not issue"),
        (KEY, CRT, "is a key"),
        (CRT, CRT, "no private key"),
        (DER, KEY, "not in PEM"),
        ("", "", "not in PEM"),
        (CRT.replace("M", "N"), KEY, "cannot be read"),
        (CRT[:200], KEY, "cannot be read"),
        (CRT, KEY[:60] + KEY[70:], "cannot be read"),
        (CRT, key_pem(ec.generate_private_key(ec.SECP256R1()), b"secret"), "passphrase"),
        (AUTHORITY.issue("a.example.com", key=RSA_1024)[0], key_pem(RSA_1024), "1024 bits"),
        (CRT, key_pem(dsa.generate_private_key(2048)), "do not serve"),  # type: ignore[arg-type]
        (CRT + CHAIN * 12, KEY, "12|13"),
    ],
)
def test_what_is_refused(crt: str, key: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as error:
        certificates.read(crt, key)
    said = f"{error.value.message} {error.value.hint}"
    assert not any(line in said for line in key.splitlines()[1:-1] if len(line) > 10), "nothing of a key is shown"
