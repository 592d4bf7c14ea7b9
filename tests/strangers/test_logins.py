"""The front door's own channel to the engine, in the hands of somebody who has taken the door over."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from paas.apps.keys import fingerprint
from paas.engine import logins as module
from paas.engine.doorchannel import DoorChannel as EnginesEnd
from paas.engine.hostkeys import HostKey, ensure_host_keys
from paas.engine.logins import Logins
from paas.engine.sshwire import check_signature, login_request, string
from paas.errors import Denied, PaasError
from paas.names import KeyName
from paas.ssh.doorchannel import DoorChannel, Login
from paas.state.people import SshKey
from paas.system import run as system


class User:
    """Somebody with a key, who signs what an SSH client would."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._private = Ed25519PrivateKey.generate()
        public = self._private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        self.key = SshKey(KeyName(name), fingerprint(public.encode()), public, False)
        self.blob = base64.b64decode(public.split()[1])

    def signature(self, session: bytes, user: str = "paas", algorithm: str = "ssh-ed25519") -> bytes:
        signed = self._private.sign(login_request(session, user, algorithm, self.blob))
        return string(algorithm) + string(signed)


class Engine:
    """The engine's part, with a clock of our own."""

    def __init__(self, keys: list[HostKey], *users: User) -> None:
        self.now = 1000.0
        self.users = {user.key.public_key: user.key for user in users}
        self.host = keys[0]
        self.logins = Logins(self.users.get, 15.0, lambda: self.now)
        ours, theirs = socket.socketpair()
        self.listener = socket.create_server(("127.0.0.1", 0))
        end = EnginesEnd(ours, keys, self.logins)
        threading.Thread(target=end.serve, args=(self.listener,), daemon=True).start()
        self.door = DoorChannel(theirs)
        opened = self.door.open()
        assert opened is not None and opened.getsockname() == self.listener.getsockname()
        self._sockets = [ours, theirs, opened, self.listener]

    def exchange(self, greeting: str = "", host_key: bytes = b"") -> bytes:
        """What a key exchange hashes, with a nonce of the engine's in the greeting unless there is one."""
        parts = (b"SSH-2.0-x", greeting or f"SSH-2.0-paas {self.door.nonce()}", b"I_C", b"I_S")
        return b"".join(string(part) for part in (*parts, host_key or self.host.blob, b"Q_C", b"Q_S", b"K"))

    def session(self, exchange: bytes = b"") -> bytes:
        """Have an exchange signed: its session identifier."""
        exchange = exchange or self.exchange()
        self.door.sign(self.host.kind, "sha256", exchange)
        return hashlib.sha256(exchange).digest()

    def login(self, user: User, session: bytes, signature: bytes = b"", algorithm: str = "ssh-ed25519") -> Login:
        made = signature or user.signature(session)
        return self.door.login(session, "paas", algorithm, user.blob, made, "192.0.2.1")

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture(scope="module")
def host_keys(tmp_path_factory: pytest.TempPathFactory) -> list[HostKey]:
    return ensure_host_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def ann() -> User:
    return User("ann")


@pytest.fixture
def engine(host_keys: list[HostKey], ann: User) -> Iterator[Engine]:
    made = Engine(host_keys, ann)
    yield made
    made.close()


def test_who_signs_is_logged_in_until_the_connection_ends(engine: Engine, ann: User) -> None:
    login = engine.login(ann, engine.session())
    found = engine.logins.of(login.token)
    assert (found.name, found.address, login.name) == ("ann", "192.0.2.1", "ann")
    other = engine.login(ann, engine.session())
    assert other.token != login.token
    engine.door.leave(login)
    with pytest.raises(Denied, match="has ended"):
        engine.logins.of(login.token)
    assert engine.logins.of(other.token).name == "ann"


def test_nobody_is_claimed_without_a_signature_of_that_session(engine: Engine, ann: User) -> None:
    session, other, eve = engine.session(), engine.session(), User("eve")
    for signature in (
        b"",
        string("ssh-ed25519"),
        string("ssh-ed25519") + string(bytes(64)),
        eve.signature(session),
        ann.signature(other),
        ann.signature(session, user="root"),
        ann.signature(session, algorithm="ssh-rsa"),
    ):
        with pytest.raises(PaasError):
            engine.login(ann, session, signature or b"\0")
    with pytest.raises(PaasError, match="another kind"):
        engine.login(ann, session, ann.signature(session, algorithm="none"), algorithm="none")
    certificate = "ssh-ed25519-cert-v01@openssh.com"
    with pytest.raises(PaasError, match="another kind"):
        engine.login(ann, session, ann.signature(session, algorithm=certificate), algorithm=certificate)
    with pytest.raises(PaasError, match="not known"):
        engine.login(eve, session)
    assert engine.login(ann, session).name == "ann", "what others tried has not used the session up"


def test_a_signature_without_the_zeros_that_it_begins_with() -> None:
    """So PuTTY sends those of RSA keys."""
    private = rsa.generate_private_key(65537, 2048)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    for number in range(10_000):
        signed = private.sign(data := str(number).encode(), padding.PKCS1v15(), hashes.SHA256())
        if signed[0] == 0:
            break
    name = string("rsa-sha2-256")
    check_signature(public, "rsa-sha2-256", name + string(signed.lstrip(b"\0")), data)
    for wrong, algorithm in ((data + b"x", "rsa-sha2-256"), (data, "rsa-sha2-512"), (data, "ssh-rsa")):
        with pytest.raises(Denied):
            check_signature(public, algorithm, string(algorithm) + string(signed), wrong)


def test_a_proof_is_good_once(engine: Engine, ann: User) -> None:
    exchange = engine.exchange()
    session = engine.session(exchange)
    proof = ann.signature(session)
    engine.login(ann, session, proof)
    for _ in range(2):
        with pytest.raises(PaasError, match="begun a moment ago"):
            engine.login(ann, session, proof)
        assert engine.session(exchange) == session, "signed once more, as an exchange of keys in between is"
    engine.logins.forget()
    engine.session(exchange)
    with pytest.raises(PaasError, match="begun a moment ago"):
        engine.login(ann, session, proof)


def test_a_session_that_the_engine_had_no_part_in(engine: Engine, ann: User) -> None:
    made_up = hashlib.sha256(b"of somebody else's server").digest()
    with pytest.raises(PaasError, match="begun a moment ago"):
        engine.login(ann, made_up)
    for greeting in ("SSH-2.0-paas", "SSH-2.0-paas " + "0" * 32, f"SSH-2.0-paas {engine.door.nonce()} "):
        with pytest.raises(PaasError, match="begun a moment ago"):
            engine.login(ann, engine.session(engine.exchange(greeting)))
    late = engine.session()
    engine.now += 16
    with pytest.raises(PaasError, match="begun a moment ago"):
        engine.login(ann, late)


def test_a_second_session_by_one_greeting(engine: Engine, ann: User) -> None:
    greeting = f"SSH-2.0-paas {engine.door.nonce()}"
    first, second = (engine.session(engine.exchange(greeting) + more) for more in (b"", b"later keys"))
    with pytest.raises(PaasError, match="begun a moment ago"):
        engine.login(ann, second)
    assert engine.login(ann, first).name == "ann"


def test_a_host_key_signs_key_exchanges_and_nothing_else(engine: Engine) -> None:
    wrong = engine.exchange(host_key=b"another host's")
    for kind, hash, exchange in (
        (engine.host.kind, "sha256", b""),
        (engine.host.kind, "sha256", b"\xff" * 100),
        (engine.host.kind, "sha256", wrong),
        (engine.host.kind, "md5", engine.exchange()),
        ("ssh-rsa", "sha256", engine.exchange()),
    ):
        with pytest.raises(PaasError):
            engine.door.sign(kind, hash, exchange)


def test_tokens_are_not_guessed_and_do_not_last(engine: Engine, ann: User) -> None:
    login = engine.login(ann, engine.session())
    for token in ("", "ann", login.token[:-1], login.token.swapcase(), repr(None)):
        with pytest.raises(Denied):
            engine.logins.of(token)
    engine.now += 25 * 3600
    with pytest.raises(Denied, match="a day old"):
        engine.logins.of(login.token)
    assert engine.login(ann, engine.session()).name == "ann"


def test_a_key_that_is_taken_away_ends_what_it_was_used_for(engine: Engine, ann: User) -> None:
    login = engine.login(ann, engine.session())
    ticket = engine.logins.ticket(login.token, "wiki")
    del engine.users[ann.key.public_key]
    with pytest.raises(Denied, match="not known any more"):
        engine.logins.of(login.token)
    with pytest.raises(Denied, match="not known any more"):
        engine.logins.of_ticket(ticket, "wiki")


def test_a_ticket_is_for_one_push_to_one_app(engine: Engine, ann: User) -> None:
    login = engine.login(ann, engine.session())
    tickets = [engine.logins.ticket(login.token, "wiki") for _ in range(3)]
    assert engine.logins.of_ticket(tickets[0], "wiki").name == "ann"
    for ticket, app in ((tickets[0], "wiki"), (tickets[1], "other"), (login.token, "wiki"), ("", "wiki")):
        with pytest.raises(Denied):
            engine.logins.of_ticket(ticket, app)
    with pytest.raises(Denied):
        engine.logins.of(tickets[2])
    engine.door.leave(login)
    with pytest.raises(Denied):
        engine.logins.of_ticket(tickets[2], "wiki")
    with pytest.raises(Denied):
        engine.logins.ticket(login.token, "wiki")


def test_what_is_remembered_is_bounded(engine: Engine, ann: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 40)
    monkeypatch.setattr(module, "_MOST_TICKETS", 5)
    made = [engine.login(ann, engine.session()) for _ in range(60)]
    for _ in range(60):
        engine.session()
        engine.logins.ticket(made[-1].token, "wiki")
    known = engine.logins
    assert len(known._nonces) <= 40 and len(known._identifiers) == 40 and len(known._logins) == 40
    assert len(known._tickets) == 5
    known.forget()
    assert not (known._nonces or known._identifiers or known._logins or known._tickets)


@given(st.dictionaries(st.sampled_from(["kind", "key", "exchange", "hash", "session", "user", "token"]), st.text()))
def test_any_question(host_keys: list[HostKey], question: dict[str, str]) -> None:
    with socket.socket() as unused:
        end = EnginesEnd(unused, host_keys, Logins(lambda _: None, 15.0))
    kinds = ["sign", "known", "login", "leave", "nonces"]
    for kind in (question.get("kind"), *kinds):
        answer = end._answer({**question, "kind": kind})
        assert "error" in answer or kind in ("nonces", "leave")


def test_an_older_installation_keeps_its_host_keys(tmp_path: Path) -> None:
    """They were readable by the front door's group."""
    directory = tmp_path / "ssh"
    before = ensure_host_keys(directory)
    directory.chmod(0o750)
    for path in directory.glob("host_*[!b]"):
        path.chmod(0o640)
        system.run(["chgrp", "paas", str(path), str(directory)])
    after = ensure_host_keys(directory)
    assert [key.public for key in after] == [key.public for key in before]
    assert all(
        key.public in (directory / f"host_{kind}.pub").read_text()
        for key, kind in zip(after, ("ed25519", "ecdsa"), strict=True)
    )
    for path in (directory, directory / "host_ed25519", directory / "host_ecdsa"):
        found = path.stat()
        assert (found.st_uid, found.st_gid) == (0, 0) and found.st_mode & 0o077 == 0
