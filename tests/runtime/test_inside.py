"""Further processes, terminals, and what is seen of a container's sockets."""

from __future__ import annotations

import os
import select
import tempfile
import time

import pytest

from paas.errors import Conflict
from paas.runtime.probe import listening_ports

from .host import Host, eventually


def _read(descriptor: int, until: bytes, seconds: float = 10) -> bytes:
    data, deadline = b"", time.monotonic() + seconds
    while until not in data and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.1)[0]:
            try:
                piece = os.read(descriptor, 4096)
            except OSError:  # the other side of a terminal is gone
                break
            if not piece:
                break
            data += piece
    return data


def test_exec(host: Host) -> None:
    id = host.boot("sleep", "60", env={"KEPT": "1"})
    with tempfile.TemporaryFile() as into, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        into.write(b"line\n")
        into.seek(0)
        stdio = (into.fileno(), out.fileno(), err.fileno())
        script = "read x; echo $x $KEPT $MORE; grep -E 'NoNew|Seccomp:|CapBnd' /proc/self/status; echo e >&2; exit 3"
        with host.runtime.exec(id, ["sh", "-c", script], terminal=False, stdio=stdio, env={"MORE": "2"}) as session:
            assert session.wait(10) == 3
        out.seek(0)
        err.seek(0)
        first, caps, privileges, filtered = out.read().decode().splitlines()
        assert first == "line 1 2"
        assert caps.split()[1] == "00000000a80425fb"
        assert privileges.split()[1] == "1" and filtered.split()[1] == "2"
        assert err.read() == b"e\n"
    assert not list((host.paths.bundles / id).glob("exec-*"))


def test_exec_killed_by_a_signal(host: Host) -> None:
    id = host.boot("sleep", "60")
    null = os.open(os.devnull, os.O_RDWR)
    with host.runtime.exec(id, ["sh", "-c", "kill -9 $$"], terminal=False, stdio=(null, null, null), env={}) as session:
        assert session.wait(10) == 137
    os.close(null)


def test_exec_with_a_terminal(host: Host) -> None:
    id = host.boot("sleep", "60")
    script = "read x; stty size; tty; exit 4"
    with host.runtime.exec(id, ["sh", "-c", script], terminal=True, stdio=(0, 1, 2), env={}) as session:
        assert session.master is not None
        session.resize(33, 99)
        os.write(session.master, b"go\n")
        said = _read(session.master, b"/dev/pts/")
        assert b"33 99" in said and b"/dev/pts/" in said
        assert session.wait(10) == 4


def test_leaving_an_exec_ends_it(host: Host) -> None:
    id = host.boot("sleep", "60")
    null = os.open(os.devnull, os.O_RDWR)
    with host.runtime.exec(id, ["sleep", "1234"], terminal=False, stdio=(null, null, null), env={}) as session:
        assert session.wait(0.2) is None
    with tempfile.TemporaryFile() as out:
        with host.runtime.exec(id, ["ps"], terminal=False, stdio=(null, out.fileno(), null), env={}) as session:
            session.wait(10)
        out.seek(0)
        assert b"1234" not in out.read()
    os.close(null)


def test_exec_needs_a_running_container(host: Host) -> None:
    id = host.boot("true")
    host.runtime.wait(id, timeout=10)
    with pytest.raises(Conflict):
        host.runtime.exec(id, ["true"], terminal=False, stdio=(0, 1, 2), env={})


def test_attach_to_a_terminal(host: Host) -> None:
    spec = host.spec("sh", "-c", "read x; echo heard $x; stty size; exit 6", terminal=True)
    host.runtime.create(spec, host.pool.take())
    with host.runtime.attach(spec.id) as terminal:
        host.runtime.resize(spec.id, 40, 120)
        host.runtime.start(spec.id)
        terminal.send(b"you\n")
        said = b""
        deadline = time.monotonic() + 10
        while b"40 120" not in said and time.monotonic() < deadline:
            terminal.settimeout(10)
            said += terminal.recv(8192)[1:]
        assert b"heard you" in said and b"40 120" in said
    assert host.runtime.wait(spec.id, timeout=10) == 6


def test_attach_when_it_is_over(host: Host) -> None:
    id = host.boot("true", terminal=True)
    host.runtime.wait(id, timeout=10)
    assert eventually(lambda: not host.processes())
    with pytest.raises(Conflict):
        host.runtime.attach(id)
    host.runtime.resize(id, 1, 1)


def test_listening_ports(host: Host) -> None:
    id = host.boot("nc", "-l", "-p", "3000")
    pid = host.runtime.pid(id)
    assert eventually(lambda: listening_ports(pid) == {3000})
    assert listening_ports(None) == listening_ports(pid, reachable=False) == set()


def test_a_port_of_loopback_is_not_one_that_others_reach(host: Host) -> None:
    id = host.boot("httpd", "-f", "-p", "127.0.0.1:3000")
    pid = host.runtime.pid(id)
    assert eventually(lambda: listening_ports(pid, reachable=False) == {3000})
    assert listening_ports(pid) == set()
