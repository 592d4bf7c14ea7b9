"""Crowds before the door: those who say nothing, those who say it slowly, those who try keys."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import paramiko
import pytest

from tests.ssh.stub import Place

from .attacker import MSG_CHANNEL_OPEN, MSG_KEXINIT, anonymous, dial, message, resident, threads, until
from .conftest import DoorMaker


def is_closed(client: socket.socket) -> bool:
    """Whether the other side has hung up, whatever it said before."""
    client.setblocking(False)
    try:
        while client.recv(4096):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_a_thousand_who_say_nothing(door: DoorMaker) -> None:
    place = door()
    before = resident(place.pid)
    crowd = [dial(place) for _ in range(1000)]
    try:
        assert place.ssh("echo").status == 7, "an honest client gets in beside them"
        until(lambda: sum(map(is_closed, crowd)) >= 1000 - place.settings.ssh_logins_per_address, "most are sent away")
        until(lambda: threads(place.pid) <= 2 * place.settings.ssh_logins_per_address + 8, "and so are their threads")
        assert resident(place.pid) - before < 32 << 20
        assert place.ssh("echo").status == 7
    finally:
        for client in crowd:
            client.close()


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-slow\r\n" + struct.pack(">IB", 1204, 8)])
def test_slow_ones_have_the_login_grace(impatient_door: Place, greeting: bytes) -> None:
    """A byte now and then gains no time, in the name that a client begins with and within a packet."""
    with dial(impatient_door) as client:
        client.sendall(greeting)

        def gone() -> bool:
            try:
                client.setblocking(True)
                client.sendall(b"x")
            except OSError:
                return True
            return is_closed(client)

        until(gone, "the connection is closed")
    until(lambda: impatient_door.ssh("echo").status == 7, "others are served")


def test_slow_ones_after_the_key_exchange(impatient_door: Place) -> None:
    with anonymous(impatient_door) as client:
        while client.is_active():
            client.send_ignore(1)
            time.sleep(0.05)
    until(lambda: impatient_door.ssh("echo").status == 7, "others are served")


@pytest.mark.parametrize(
    "sent",
    [
        b"S" * 300_000,
        b"SSH-2.0-x\r\n" + struct.pack(">IB", 0xFFFFFFFF, 4) + bytes(100_000),
        b"SSH-2.0-x\r\n" + struct.pack(">IB", 1 << 20, 4) + bytes(100_000),
        b"SSH-2.0-x\r\n" + struct.pack(">IB", 0, 255) + bytes(64),
        b"SSH-2.0-x\r\n" + struct.pack(">IBB", 12, 10, MSG_KEXINIT) + bytes(64),
        b"".join(b"line %d\r\n" % number for number in range(40_000)),
        b"SSH-2.0-x\r\n" + (struct.pack(">IBB", 12, 6, 2) + bytes(10)) * 20_000,
        b"SSH-2.0-\xff\xfe\r\n\0\0\0\0",
    ],
    ids=[
        "endless name",
        "4 GiB packet",
        "1 MiB packet",
        "empty packet",
        "short",
        "many lines",
        "many packets",
        "bytes",
    ],
)
def test_sizes_that_nobody_needs(shared_door: Place, sent: bytes) -> None:
    before = resident(shared_door.pid)
    with dial(shared_door) as client:
        try:
            client.sendall(sent)
        except OSError:
            pass  # hung up on before it was all sent
        until(lambda: is_closed(client), "it is hung up on")
    assert resident(shared_door.pid) - before < 8 << 20
    assert shared_door.ssh("echo").status == 7


@pytest.fixture
def unknown() -> Iterator[list[paramiko.PKey]]:
    yield [paramiko.ECDSAKey.generate() for _ in range(12)]


def test_few_keys_may_be_tried_on_one_connection(door: DoorMaker, unknown: list[paramiko.PKey]) -> None:
    place = door(ssh_key_tries=3)
    with anonymous(place) as client:
        tried = 0
        for key in unknown:
            try:
                client.auth_publickey("paas", key)
            except paramiko.SSHException:
                tried += client.is_active()
        assert tried == 3 and not client.is_active()
    assert len(place.engine.identified) == 3
    # One and the same key costs one question, however often it is shown.
    with anonymous(place) as client:
        for _ in range(9):
            with pytest.raises(paramiko.AuthenticationException):
                client.auth_publickey("paas", unknown[0])
    assert len(place.engine.identified) == 4


def test_a_flood_of_wrong_keys_is_held_off(door: DoorMaker, unknown: list[paramiko.PKey]) -> None:
    place = door(ssh_never_back_off="127.0.0.1/32", ssh_back_off=6)
    refused = 0
    for number in range(40):
        try:
            with anonymous(place, "127.0.0.2") as client:
                client.auth_publickey("paas", unknown[number % len(unknown)])
        except paramiko.AuthenticationException:
            pass
        except (paramiko.SSHException, OSError, EOFError):
            refused += 1
        until(lambda: threads(place.pid) <= 3, "the connection has ended there, and counts")
    asked = len(place.engine.identified)
    assert refused >= 15 and asked <= 25, (refused, asked)
    assert place.ssh("echo").status == 7, "others are not held off"
    elsewhere = ("-o", "BindAddress=127.0.0.2")
    until(lambda: place.ssh("echo", options=elsewhere).status == 7, "nor is that address, a little later", 30)


def test_passwords_and_nothing_at_all(shared_door: Place) -> None:
    with anonymous(shared_door) as client:
        for attempt in (
            lambda: client.auth_none("paas"),
            lambda: client.auth_password("paas", "x", fallback=False),
            lambda: client.auth_interactive("paas", lambda *_: ["x"]),
        ):
            with pytest.raises(paramiko.BadAuthenticationType) as refused:
                attempt()  # type: ignore[no-untyped-call]
            assert refused.value.allowed_types == ["publickey"]
        assert not client.is_authenticated()


@pytest.mark.parametrize("kind", [MSG_CHANNEL_OPEN, 80, 52, 60, 61, 90, 94, 98, 99, 7, 255])
def test_what_is_for_those_who_are_logged_in(shared_door: Place, kind: int) -> None:
    """A channel, a request, or being told that one is let in: nothing of it helps before a key is proved."""
    shared_door.engine.requests.clear()
    shared_door.engine.identified.clear()
    with anonymous(shared_door) as client:
        with pytest.raises((paramiko.SSHException, EOFError, OSError)):
            client._send_message(message(kind, "session", 0, 1 << 20, 1 << 15))  # type: ignore[attr-defined]
            client._send_message(message(98, 0, "exec", True, "echo in"))  # type: ignore[attr-defined]
            client.open_session(timeout=1)
        assert not client.is_authenticated()
    assert not shared_door.engine.requests and not shared_door.engine.identified


def test_nothing_is_left_of_them(shared_door: Place) -> None:
    def one() -> None:
        with dial(shared_door) as client:
            client.sendall(b"SSH-2.0-x\r\n")
            client.shutdown(socket.SHUT_WR)
            until(lambda: is_closed(client), "it is hung up on")

    one()
    until(lambda: threads(shared_door.pid) <= 3, "all threads of earlier tests have ended")
    crowd = [threading.Thread(target=one) for _ in range(100)]
    for each in crowd:
        each.start()
    for each in crowd:
        each.join()
    until(lambda: threads(shared_door.pid) <= 3, "no thread is left")
