"""The engine's socket in the hands of somebody who speaks for the front door, and everything that is parsed here."""

from __future__ import annotations

import json
import os
import pwd
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paas import wire
from paas.commands.catalog import filled
from paas.engine.server import Server, Session
from tests.machine import Machine

from .attacker import threads, until
from .words import WORD

COMMANDS = list(filled())
ACCOUNT = pwd.getpwnam("paas")


class Sender:
    """Requests as the account of the front door makes them; or as root, in the name of somebody, which is what those of
    a login become."""

    def __init__(self, directory: Path, account: tuple[int, int] = (ACCOUNT.pw_uid, ACCOUNT.pw_gid)) -> None:
        self._directory = directory
        self._uid, self._gid = account

    def as_root(self) -> Sender:
        return Sender(self._directory, (0, 0))

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        before = Path.cwd()
        os.chdir(self._directory)  # as root: below /proc nobody else gets there
        os.setegid(self._gid)
        os.seteuid(self._uid)
        try:
            connection.connect("socket")
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.chdir(before)
        return connection

    def ask(self, frame: Any, descriptors: tuple[int, ...] = ()) -> wire.Frame | None:
        """The last thing that is said; None if there is none."""
        with self.connect() as connection:
            try:
                wire.send(connection, frame, descriptors)
            except OSError:
                pass  # answered before it was asked
            return self.last(connection)

    @staticmethod
    def last(connection: socket.socket) -> wire.Frame | None:
        answer = None
        try:
            while (received := wire.receive(connection)) is not None:
                answer, descriptors = received
                for descriptor in descriptors:
                    os.close(descriptor)
        except ConnectionError:
            pass
        return answer


@pytest.fixture(scope="module")
def sender(machine: Machine) -> Sender:
    key = machine.client(_VIEWER, known=False).public_key.encode()
    machine.paas("ssh-keys:add", "--role", "view", _VIEWER, input=key)
    return Sender(Path(f"/proc/{machine._init}/root{machine.settings.socket.parent}"))


@pytest.fixture
def unharmed(machine: Machine) -> Iterator[None]:
    """Afterwards the engine is what it was: it answers, holds no more descriptors, and has logged no traceback."""

    def descriptors() -> int:
        return len(list(Path(f"/proc/{machine.engine_pid}/fd").iterdir()))

    before, busy, log = descriptors(), threads(machine.engine_pid), len(machine.engine_log)
    yield
    until(lambda: descriptors() <= before + 2, "no descriptor is left open")
    until(lambda: threads(machine.engine_pid) <= busy + 2, "no thread is left at work")
    assert "Traceback" not in machine.engine_log[log:]
    assert machine.paas("version").status == 0


_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORD,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
_VIEWER = "somebody-who-looks"
_WHO = st.fixed_dictionaries({"name": st.just(_VIEWER) | WORD, "admin": st.booleans()}) | _VALUE
_FRAME = st.fixed_dictionaries(
    {"kind": st.sampled_from(["command", "auth", "receive", "push", "x"]) | _VALUE},
    optional={
        "who": _WHO,
        "token": _VALUE,
        "ticket": _VALUE,
        "argv": st.lists(WORD, max_size=4) | st.lists(st.sampled_from([c.name for c in COMMANDS]), max_size=2) | _VALUE,
        "key": _VALUE,
        "app": _VALUE,
        "service": st.sampled_from(["git-upload-pack", "git-receive-pack"]) | _VALUE,
        "updates": st.lists(st.lists(WORD, max_size=4), max_size=3) | _VALUE,
        "quarantine": _VALUE,
        "tty": _VALUE,
        "rows": _VALUE,
        "columns": _VALUE,
        "term": _VALUE,
        "environment": _VALUE,
    },
)


def _kinds() -> list[int]:
    """A descriptor of each kind that there is, whatever it is good for."""
    read, write = os.pipe()
    os.close(write)
    left, right = socket.socketpair()
    right.close()
    opened = [os.open(path, os.O_RDWR) for path in ("/dev/null", "/dev/zero", "/dev/full")]
    opened += [os.open(path, os.O_RDONLY) for path in ("/", "/etc/passwd")]
    return [*opened, read, left.detach(), os.memfd_create("x"), os.eventfd(1), os.open("/", os.O_PATH)]


@pytest.mark.usefixtures("unharmed")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=_FRAME, kinds=st.lists(st.integers(0, 9), max_size=4), logged_in=st.booleans())
def test_any_request(sender: Sender, frame: wire.Frame, kinds: list[int], logged_in: bool) -> None:
    """It is answered, by a status that is none of success unless it was a user's command, and by no word of our
    insides."""
    if logged_in:
        sender = sender.as_root()
        frame = {**frame, "who": {"name": _VIEWER, "admin": False}}
    descriptors = _kinds()
    try:
        answer = sender.ask(frame, tuple(descriptors[kind] for kind in kinds))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert answer is not None and isinstance(answer["exit"], int)
    assert answer["exit"] or (frame["kind"] == "command" and logged_in)
    assert "Traceback" not in json.dumps(answer)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        struct.pack(">I", 0),
        struct.pack(">I", 0xFFFFFFFF) + b"{}",
        struct.pack(">I", wire.LIMIT + 1),
        struct.pack(">I", 50) + b"{",
        struct.pack(">I", 200_000) + b"[" * 200_000,
        struct.pack(">I", 14) + b'{"kind": 1e999}'[:14],
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(100_000),
    ],
)
def test_bytes_that_are_no_request(sender: Sender, data: bytes) -> None:
    with sender.connect() as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # hung up on
        assert sender.last(connection) is None


@pytest.mark.usefixtures("unharmed")
def test_more_descriptors_than_a_request_has(sender: Sender) -> None:
    with Path("/dev/null").open() as null:
        for count in (5, 64, 253):
            rights = struct.pack(f"{count}i", *[null.fileno()] * count)
            with sender.connect() as connection:
                connection.sendmsg([struct.pack(">I", 2) + b"{}"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                assert sender.last(connection) is None
        with sender.connect() as connection:  # one with each byte
            for byte in struct.pack(">I", 200):
                rights = struct.pack("2i", null.fileno(), null.fileno())
                try:
                    connection.sendmsg([bytes([byte])], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                except OSError:
                    break
            assert sender.last(connection) is None


@pytest.mark.usefixtures("unharmed")
def test_what_comes_after_a_request(machine: Machine, sender: Sender) -> None:
    """Sizes and signals of any kind, and more than there is room for."""
    with Path("/dev/null").open("r+") as null:
        for later in (
            {"winch": [1e9, -1]},
            {"winch": "x"},
            {"signal": 9},
            {"signal": "x" * 3000},
            {"x": "y" * 100_000},
        ):
            with sender.as_root().connect() as connection:
                frame: wire.Frame = {"kind": "command", "argv": ["help"], "who": {"name": "nobody", "admin": False}}
                wire.send(connection, frame, (null.fileno(),) * 3)
                try:
                    wire.send(connection, later)
                except OSError:
                    pass  # answered already
                assert sender.last(connection) in ({"exit": 0}, None)


def test_nobody_is_claimed_by_name(machine: Machine, sender: Sender) -> None:
    """The front door's account has to show what the engine gave for a login, and the account of git below it, which is
    the same, cannot get one: neither is anybody by saying so, an admin least of all."""
    admin = machine.client("socket-admin", admin=True)
    read, write = os.pipe()
    claims: tuple[wire.Frame, ...] = (
        {},
        {"who": {"name": admin.name, "admin": True}},
        {"who": {"name": "root", "admin": True}},
        {"token": admin.name},
        {"token": admin.public_key},
        {"token": ""},
        {"token": None, "who": {"name": admin.name, "admin": True}},
        {"ticket": "x", "app": "x"},
    )
    frames: tuple[wire.Frame, ...] = (
        {"kind": "command", "argv": ["help"]},
        {"kind": "receive", "app": "claimed", "service": "git-receive-pack"},
        {"kind": "push", "app": "claimed", "updates": [], "quarantine": None},
    )
    for claim in claims:
        for frame in frames:
            answer = sender.ask({**frame, **claim}, (read, write, write))
            assert answer is not None and answer["exit"] == 1, (claim, frame)
    for kind in ("auth", "login", "sign", "nonces", "known"):
        answer = sender.ask({"kind": kind, "key": admin.public_key})
        assert answer is not None and "Unknown kind" in answer["error"]
    assert "claimed" not in machine.paas("apps:list").text
    os.close(read)
    os.close(write)


def test_root_names_nobody_with_more_rights_than_they_have(machine: Machine, sender: Sender) -> None:
    root = sender.as_root()
    read, write = os.pipe()
    for argv in (["users:list"], ["ssh-keys:add", "--admin", "me", "x"], ["nginx:stop"]):
        who = {"name": "nobody-of-that-name", "admin": False}
        answer = root.ask({"kind": "command", "argv": argv, "who": who}, (read, write, write))
        assert answer is not None and answer["exit"] != 0, argv
    os.close(read)
    os.close(write)


def test_a_push_names_only_its_own_repository(machine: Machine, sender: Sender) -> None:
    machine.paas("apps:create", "socket-push")
    try:
        client = machine.client("socket-push")
        read, write = os.pipe()
        for quarantine in ("/etc", "../../x", "/", 5, str(machine.data_dir / "repos/1.git/objects/../../x")):
            frame: wire.Frame = {
                "kind": "push",
                "who": {"name": client.name, "admin": False},
                "app": "socket-push",
                "updates": [],
                "quarantine": quarantine,
            }
            answer = sender.as_root().ask(frame, (write, write))
            assert answer is not None and answer["exit"] == 1, quarantine
        os.close(write)
        assert b"outside of the repository" in os.read(read, 65536)
        os.close(read)
    finally:
        machine.paas("apps:destroy", "--force", "socket-push")


# -- the server alone --------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    monkeypatch.setattr("paas.engine.server._FIRST_FRAME", 0.5)
    monkeypatch.setattr("paas.engine.server._MOST", 3)

    def handle(session: Session) -> None:
        session.hung_up.wait(10)
        session.finish({"exit": 0})

    server = Server(open_path / "engine/socket", ACCOUNT.pw_gid, handle)
    server.start()
    yield Sender(open_path / "engine")
    server.close()


def test_a_slow_sender(alone: Sender) -> None:
    with alone.connect() as connection:
        frame = struct.pack(">I", 1000) + b" " * 1000
        sent = 0
        try:
            while sent < len(frame):
                connection.sendall(frame[sent : sent + 1])
                sent += 1
                time.sleep(0.02)
        except OSError:
            pass
        assert sent < 200, "it is hung up on, although it always says something"


def test_requests_of_one_account_are_bounded(alone: Sender) -> None:
    held = [alone.connect() for _ in range(3)]
    for each in held:
        wire.send(each, {"kind": "x"})
    until(lambda: (alone.ask({"kind": "x"}) or {}).get("error") == "Too many requests at once", "the fourth is refused")
    held.pop().close()

    def served() -> bool:
        with alone.connect() as connection:
            try:
                wire.send(connection, {"kind": "x"})
                wire.send(connection, {"signal": "INT"})
            except OSError:
                return False
            return alone.last(connection) == {"exit": 0}

    until(served, "with the third gone there is room for another")
    for each in held:
        each.close()
