"""What is negotiated with the front door, and in which order: nothing weak, nothing slipped in."""

from __future__ import annotations

import socket
import struct

import paramiko
import pytest

from paas.system import run as system
from tests.ssh.stub import Place

from .attacker import MSG_KEXINIT, dial, message


def _greeting(client: socket.socket) -> list[list[str]]:
    """What the door offers in its KEXINIT: RFC 4253, 7.1."""
    stream = client.makefile("rb")
    assert stream.readline().startswith(b"SSH-2.0-paas")
    length, padding = struct.unpack(">IB", stream.read(5))
    body = stream.read(length - 1)[: length - 1 - padding]
    assert body[0] == MSG_KEXINIT
    lists, at = [], 17
    for _ in range(10):
        (size,) = struct.unpack_from(">I", body, at)
        lists.append(body[at + 4 : at + 4 + size].decode().split(","))
        at += 4 + size
    return lists


def test_algorithms_are_modern(place: Place) -> None:
    with dial(place) as client:
        client.sendall(b"SSH-2.0-x\r\n")
        kex, host_keys, *others = _greeting(client)
    ciphers, macs, compression = others[0], others[2], others[4]
    assert ciphers == others[1] and macs == others[3] and compression == others[5] == ["none"]
    weak = (
        "sha1",
        "md5",
        "cbc",
        "3des",
        "arcfour",
        "group1-",
        "group14",
        "exchange",
        "ssh-rsa",
        "dss",
        "-96",
        "chacha",
    )
    for name in (*kex, *host_keys, *ciphers, *macs):
        assert not [word for word in weak if word in name.removesuffix("sha1-nothing")], name
    assert "kex-strict-s-v00@openssh.com" in kex, "Terrapin, CVE-2023-48795"
    assert {"mlkem768x25519-sha256", "curve25519-sha256@libssh.org"} & set(kex)


@pytest.mark.parametrize(
    ("option", "weak", "good"),
    [
        ("Ciphers", "aes128-cbc", "aes128-ctr"),
        ("MACs", "hmac-sha1", "hmac-sha2-256"),
        ("KexAlgorithms", "diffie-hellman-group14-sha256", "curve25519-sha256"),
    ],
)
def test_openssh_cannot_ask_for_others(place: Place, option: str, weak: str, good: str) -> None:
    without_gcm = ("-o", "Ciphers=aes128-ctr") if option == "MACs" else ()
    assert place.ssh("echo", options=("-o", f"{option}={good}", *without_gcm)).status == 7
    assert place.ssh("echo", options=("-o", f"{option}={weak}", *without_gcm)).status == 255


def test_signatures_with_sha1_are_refused(place: Place) -> None:
    key = place.root / "sha1"
    system.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(key)])
    place.engine.keys[place.public(key)] = ("sha1", False)
    assert place.ssh("echo", key=key).status == 7
    done = place.ssh("echo", key=key, options=("-o", "PubkeyAcceptedAlgorithms=ssh-rsa"))
    assert done.status == 255


@pytest.mark.parametrize("kind", [2, 4], ids=["ignore", "debug"])
def test_no_message_is_slipped_into_the_key_exchange(place: Place, kind: int) -> None:
    """What Terrapin needs: a message more before the keys are in use, which a strict exchange has no room for."""

    class Slipping(paramiko.Transport):
        def _send_kex_init(self) -> None:
            super()._send_kex_init()  # type: ignore[misc]
            body = (True, "x", "") if kind == 4 else ("x",)
            self._send_message(message(kind, *body))  # type: ignore[attr-defined]

    client = Slipping(dial(place))
    with pytest.raises((paramiko.SSHException, EOFError, OSError)):
        client.start_client(timeout=5)
    client.close()
    assert place.ssh("echo").status == 7
