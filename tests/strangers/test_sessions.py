"""Somebody with a key who means harm: what is sent, what is not read, how much is opened, what is asked for."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import paramiko
import pytest

from paas.system import run as system
from tests.ssh.stub import Place, free_port

from .attacker import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    anonymous,
    dial,
    logged_in,
    message,
    resident,
    threads,
    until,
)

_BLOCK = bytes(32000)


def _send(client: paramiko.Transport, built: paramiko.Message) -> None:
    client._send_user_message(built)  # type: ignore[attr-defined]


def _dies(client: paramiko.Transport) -> None:
    until(lambda: not client.is_active(), "the connection is ended")


@pytest.mark.parametrize("kind", ["data", "extended data"])
def test_more_than_the_window(place: Place, kind: str) -> None:
    """Data that nobody reads, beyond what was allowed: 64 MiB."""
    before = resident(place.pid)
    with logged_in(place) as client:
        channel = client.open_session()
        head = (MSG_CHANNEL_DATA, channel.remote_chanid)
        if kind == "extended data":
            head = (MSG_CHANNEL_EXTENDED_DATA, channel.remote_chanid, 1)  # type: ignore[assignment]
        try:
            for _ in range(2000):
                _send(client, message(*head, _BLOCK))
        except (EOFError, OSError, paramiko.SSHException):
            pass  # hung up on
        if kind == "data":
            _dies(client)
        else:
            channel.exec_command("echo still here")
            assert channel.recv(100) == b"still here\n"
        assert resident(place.pid) - before < 16 << 20
    assert place.ssh("echo").status == 7


def test_channels_that_come_and_go_leave_nothing(place: Place) -> None:
    """Each with data that nobody reads: 300 times 256 KiB."""
    before = resident(place.pid)
    with logged_in(place) as client:
        for _ in range(300):
            channel = client.open_session()
            channel.sendall(bytes(1 << 18))
            channel.close()
        until(lambda: resident(place.pid) - before < 24 << 20, "what they sent is forgotten")
        channel = client.open_session()
        channel.exec_command("echo x")
        assert channel.recv_exit_status() == 7


def test_a_client_that_reads_nothing_is_given_up(place: Place) -> None:
    """It allows any amount, and takes none off the network: what it asked for ends, and so do its threads."""
    with logged_in(place) as client:
        channel = client.open_session(window_size=(1 << 32) - 1)
        client.packetizer.read_message = threading.Event().wait  # type: ignore[method-assign,assignment]
        _send(client, message(MSG_CHANNEL_REQUEST, channel.remote_chanid, "exec", False, "flood 500000000"))
        assert place.engine.hung_up.wait(20)
        until(lambda: threads(place.pid) <= 3, "no thread waits for it")
    assert resident(place.pid) < 200 << 20
    assert place.ssh("echo").status == 7


def test_a_window_that_stays_shut(place: Place) -> None:
    """A client may leave its window shut for long, as a pager does: nothing is kept for it meanwhile, and nobody
    else waits."""
    before = resident(place.pid)
    with logged_in(place) as client:
        channel = client.open_session(window_size=0)
        _send(client, message(MSG_CHANNEL_REQUEST, channel.remote_chanid, "exec", False, "flood 100000000"))
        assert place.ssh("echo").status == 7
        for grow in (1 << 31, (1 << 32) - 1, (1 << 32) - 1):
            _send(client, message(93, channel.remote_chanid, grow))
            client.send_ignore()
        assert resident(place.pid) - before < 16 << 20
    assert place.engine.hung_up.wait(10)


def test_channels_and_users_have_limits(place: Place) -> None:
    limits = place.settings
    with logged_in(place) as one, logged_in(place) as two:
        held = [one.open_session() for _ in range(limits.ssh_sessions)]
        with pytest.raises(paramiko.ChannelException) as refused:
            one.open_session()
        assert refused.value.code == 4, "a shortage"
        held += [two.open_session() for _ in range(limits.ssh_sessions_per_user - limits.ssh_sessions)]
        with pytest.raises(paramiko.ChannelException):
            two.open_session()
        held.pop().close()
        two.open_session().close()
    until(lambda: place.ssh("echo").status == 7, "with the connections their channels are gone")


def test_a_channel_that_is_closed_while_it_is_opened_counts_no_longer(place: Place) -> None:
    with logged_in(place) as client:
        for _ in range(3 * place.settings.ssh_sessions):
            channel = client.open_session()
            _send(client, message(MSG_CHANNEL_CLOSE, channel.remote_chanid))
            until(lambda: channel.closed, "it is closed")  # noqa: B023


@pytest.mark.parametrize(
    "request_",
    [
        ("subsystem", True, "sftp"),
        ("x11-req", True, False, "MIT-MAGIC-COOKIE-1", "00", 0),
        ("auth-agent-req@openssh.com", True),
        ("env", True, "LD_PRELOAD", "/x.so"),
        ("env", True, "GIT_PROTOCOL", "version=2"),
        ("env", True, "NO_COLOR", ""),
        ("tun@openssh.com", True),
        ("exec", True, "echo " + "x" * 140_000),
        ("break", True, 500),
    ],
    ids=lambda request: " ".join(str(word)[:20] for word in request[::2]),
)
def test_requests_that_are_refused(place: Place, request_: tuple[str | bool | int, ...]) -> None:
    with logged_in(place) as client:
        channel = client.open_session()
        channel._event_pending()  # type: ignore[attr-defined]
        _send(client, message(MSG_CHANNEL_REQUEST, channel.remote_chanid, *request_))
        with pytest.raises(paramiko.SSHException):
            channel._wait_for_event()  # type: ignore[attr-defined]
        assert client.is_active()
    assert place.engine.requests == []


def test_forwarding_is_refused(place: Place) -> None:
    with logged_in(place) as client:
        for kind in ("direct-tcpip", "forwarded-tcpip", "x11", "auth-agent@openssh.com", "tun@openssh.com", "sessio"):
            with pytest.raises(paramiko.ChannelException) as refused:
                client.open_channel(kind, ("127.0.0.1", 22), ("127.0.0.1", 22), timeout=5)
            assert refused.value.code == 1, "prohibited"
        with pytest.raises(paramiko.SSHException, match="denied"):
            client.request_port_forward("", free_port())
        streamlocal = client.global_request("streamlocal-forward@openssh.com", ("/tmp/x",))
        assert streamlocal is None and client.is_active()


@pytest.mark.parametrize(
    ("columns", "rows"),
    [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (10000, 10000), (0, 100)],
    ids=["none", "huge", "large", "half"],
)
def test_sizes_of_terminals(place: Place, columns: int, rows: int) -> None:
    with logged_in(place) as client:
        channel = client.open_session()
        channel.get_pty("x" * 100_000, columns, rows)
        channel.resize_pty(columns, rows)
        channel.exec_command("size")
        assert place.engine.waiting.wait(10)
        for _ in range(200):
            _send(client, message(98, channel.remote_chanid, "window-change", False, columns, rows, 0, 0))
        text = b""
        while b"terminal_size" not in text:
            text += channel.recv(1000)
    wanted = f"{rows if 0 < rows < 10000 else 24} {columns if 0 < columns < 10000 else 80}"
    assert text.decode().split("\r\n")[0] == wanted
    assert place.engine.requests[-1]["term"] == "x" * 64


def test_a_second_command_on_one_channel(place: Place) -> None:
    with logged_in(place) as client:
        channel = client.open_session()
        channel.exec_command("wait")
        for again in (lambda: channel.exec_command("echo again"), lambda: channel.get_pty()):
            with pytest.raises(paramiko.SSHException):
                again()  # type: ignore[no-untyped-call]
        assert place.engine.waiting.wait(10)
    assert [each.get("argv") for each in place.engine.requests] == [["wait"]]


@pytest.mark.parametrize(
    "command",
    [b"", b"'", b"\0", b"echo \0 x", b"\xff\xfe", b"git-receive-pack", b"git-receive-pack '../../etc'", b"-x",
     b"git-upload-pack --upload-pack=touch app", b"git-receive-pack a b", b"git-receive-pack 'a;id'", b"$(id)",
     b"git-upload-archive app", b"git receive-pack", b"\xe2\x80\xae", b"'" * 100_001, b"\\"],
    ids=lambda command: repr(command[:24]),
)  # fmt: skip
def test_commands_that_are_odd(place: Place, command: bytes) -> None:
    """Each has an end, an exit status and no traceback; none runs git on anything."""
    with logged_in(place) as client:
        channel = client.open_session()
        _send(client, message(MSG_CHANNEL_REQUEST, channel.remote_chanid, "exec", False, command))
        assert channel.recv_exit_status() >= 0
        said = channel.recv(10_000) + channel.recv_stderr(10_000)
        assert b"Traceback" not in said
    assert {each["kind"] for each in place.engine.requests} <= {"command"}


def test_keys_are_exchanged_again(place: Place) -> None:
    """In the middle of data, as both sides may; but not again and again."""
    data = os.urandom(1 << 20)
    with logged_in(place) as client:
        channel = client.open_session()
        channel.exec_command("cat")
        received = bytearray()

        def read() -> None:
            while piece := channel.recv(65536):
                received.extend(piece)

        reader = threading.Thread(target=read)
        reader.start()
        for start in range(0, len(data), 1 << 18):
            channel.sendall(data[start : start + (1 << 18)])
            client.renegotiate_keys()
        channel.shutdown_write()
        reader.join(20)
        assert bytes(received) == data
        with pytest.raises((paramiko.SSHException, EOFError, OSError)):
            for _ in range(40):
                client.renegotiate_keys()
    assert place.ssh("echo", options=("-o", "RekeyLimit=1K")).status == 7


def _descriptors(place: Place) -> int:
    return len(list(Path(f"/proc/{place.pid}/fd").iterdir()))


def test_without_descriptors_a_command_is_refused_and_nothing_else_breaks(place: Place) -> None:
    before = _descriptors(place)
    with logged_in(place) as client:
        channel = client.open_session()
        (limits,) = (line for line in _limits(place) if line.startswith("Max open files"))
        usual, most = limits.split()[3:5]
        prlimit = ["prlimit", f"--pid={place.pid}"]
        system.run([*prlimit, f"--nofile={_descriptors(place) + 4}:{most}"], user="paas")
        try:
            _send(client, message(MSG_CHANNEL_REQUEST, channel.remote_chanid, "exec", False, "echo x"))
            assert channel.recv_exit_status() == 1
            assert b"cannot take another command now" in channel.recv_stderr(1000)
            crowd = [dial(place) for _ in range(20)]
        finally:
            system.run([*prlimit, f"--nofile={usual}:{most}"], user="paas")
        for each in crowd:
            each.close()
        channel = client.open_session()
        channel.exec_command("echo x")
        assert channel.recv_exit_status() == 7
    assert place.ssh("echo").status == 7
    until(lambda: threads(place.pid) <= 3 and _descriptors(place) <= before, "all descriptors are closed")


def _limits(place: Place) -> list[str]:
    return Path(f"/proc/{place.pid}/limits").read_text().splitlines()


def test_no_descriptor_is_left(place: Place) -> None:

    def use() -> None:
        with anonymous(place):
            pass
        with logged_in(place) as client:
            for command in ("echo x", "flood 100000", "wait", "git-receive-pack missing", "die"):
                channel = client.open_session()
                channel.exec_command(command)
                if command == "wait":
                    assert place.engine.waiting.wait(10)
                else:
                    channel.recv_exit_status()
                channel.close()

    use()
    until(lambda: threads(place.pid) <= 3, "all has ended")
    before = _descriptors(place)
    for _ in range(3):
        use()
    until(lambda: threads(place.pid) <= 3 and _descriptors(place) <= before, "all descriptors are closed")
    assert system.run(["ps", "-o", "stat=", "--ppid", str(place.pid)], check=False).text.count("Z") == 0
