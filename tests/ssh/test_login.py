"""Who gets in, and what is not offered to those who are."""

from __future__ import annotations

import socket
import sys

import pytest

from paas.paths import PROJECT
from paas.system import run as system

from .stub import Place, free_port


def test_a_key_that_is_not_known_is_refused(place: Place) -> None:
    stranger = place.root / "stranger"
    if not stranger.exists():
        place.new_key("stranger")
    done = place.ssh("echo", key=stranger)
    assert (done.status, done.stdout) == (255, b"")
    assert "Permission denied (publickey)" in done.error


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_keys(place: Place, kind: str) -> None:
    key = place.new_key(f"kind-{kind}", kind)
    place.engine.keys[place.public(key)] = (kind, True)
    assert place.ssh("echo", key=key).status == 7
    assert place.engine.who == [(kind, "127.0.0.1")]


def test_the_key_that_signed_says_who_it_is(place: Place) -> None:
    """A key that is only asked about, and not proved, must not lend its name."""
    bob = place.new_key("bob")
    place.engine.keys[place.public(bob)] = ("bob", True)
    bob.unlink()  # its public half is offered, the private one cannot sign
    done = place.ssh("echo", options=("-i", str(bob.with_suffix(".pub"))))
    assert done.status == 7
    assert place.engine.who == [("ann", "127.0.0.1")]


def test_a_certificate_is_no_login_and_the_key_below_it_is(place: Place) -> None:
    """Whatever it says of its times and of who made it: nobody here would look at that."""
    authority, key = place.new_key("authority"), place.new_key("certified")
    system.run(["ssh-keygen", "-q", "-s", str(authority), "-I", "x", "-n", "paas", "-V", "-2w:-1w", f"{key}.pub"])
    place.engine.keys[place.public(key)] = ("carla", False)
    assert place.ssh("echo", key=key).status == 7
    assert place.engine.who == [("carla", "127.0.0.1")]
    place.engine.identified.clear()
    kind = "ssh-ed25519-cert-v01@openssh.com"
    assert place.ssh("echo", key=key, options=("-o", f"PubkeyAcceptedAlgorithms={kind}")).status == 255
    assert place.engine.identified == []


def test_the_front_door_alone_serves_nobody() -> None:
    done = system.run([sys.executable, "-m", "paas", "ssh"], check=False, cwd=PROJECT)
    assert done.status == 1 and "started by the engine" in done.error


@pytest.mark.parametrize("user", ["root", "admin", "Paas", ""])
def test_other_accounts_do_not_exist(place: Place, user: str) -> None:
    assert place.ssh("echo", user=user or "''").status == 255
    assert place.engine.requests == []


def test_passwords_are_not_offered(place: Place) -> None:
    done = place.ssh("echo", options=("-o", "PreferredAuthentications=password,keyboard-interactive,none"))
    assert done.status == 255
    assert "publickey" in done.error


def test_the_clients_environment_stays_outside(place: Place) -> None:
    assert place.ssh("echo", "hi", options=("-o", "SetEnv=LD_PRELOAD=/x.so PAAS_APP=other")).status == 7
    assert not {"env", "LD_PRELOAD"} & set(place.engine.requests[-1])


def test_nothing_is_forwarded(place: Place) -> None:
    port = free_port()
    remote = place.ssh("echo", options=("-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:1"))
    assert remote.status == 255
    stdio = place.ssh(options=("-W", f"127.0.0.1:{place.settings.ssh_port}"), input=b"")
    assert stdio.status == 255
    assert "prohibited" in stdio.error or "forwarding failed" in stdio.error


def test_there_are_no_subsystems(place: Place) -> None:
    done = place.ssh("sftp", options=("-s",))
    assert done.status != 0
    assert "subsystem request failed" in done.error


def test_bytes_that_are_no_ssh_are_hung_up_on(place: Place) -> None:
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n" + bytes(4096), b"SSH-1.0-x\r\n", b"\0" * 100_000):
        with socket.create_connection(("127.0.0.1", place.settings.ssh_port), timeout=20) as client:
            try:
                client.sendall(junk)
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    assert place.ssh("echo").status == 7
