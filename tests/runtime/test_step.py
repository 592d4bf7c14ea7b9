"""Build steps: what they leave, and how they end."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from paas.errors import Conflict, InvalidInput

from .host import Host


def test_what_a_step_changes_is_the_layer(host: Host) -> None:
    script = "echo hi >/root/made; chown 33 /root/made; rm /old/file; echo out; echo err >&2; id -u"
    status, text, upper = host.step("sh", "-c", script, resolv_conf="nameserver 192.0.2.1\n")
    assert (status.exit_code, status.running, status.oom) == (0, False, False)
    assert text.split() == ["out", "err", "0"]
    assert (upper / "root/made").stat().st_uid == 33
    assert (upper / "old/file").is_char_device()
    assert not (upper / "etc/resolv.conf").exists() and not (upper / "etc/hosts").exists()
    assert host.container_cgroups() == []


def test_a_failing_step(host: Host) -> None:
    assert host.step("sh", "-c", "exit 42")[0].exit_code == 42


def test_a_command_that_is_not_there(host: Host) -> None:
    status, text, _ = host.step("/no/such/thing")
    assert status.exit_code not in (0, None)
    assert "no/such/thing" in text


def test_a_bad_user(host: Host) -> None:
    with pytest.raises(InvalidInput):
        host.step("true", user="nobody-here")


def test_standard_input_is_empty(host: Host) -> None:
    assert host.step("cat")[0].exit_code == 0


def test_out_of_memory(host: Host) -> None:
    status, _, _ = host.step("sh", "-c", "x=a; while :; do x=$x$x; done", memory=16 << 20)
    assert status.exit_code == 128 + signal.SIGKILL and status.oom


def test_what_it_leaves_running_ends_with_it(host: Host) -> None:
    began = time.monotonic()
    status, _, _ = host.step("sh", "-c", "sleep 30 & exit 0")
    assert status.exit_code == 0
    assert time.monotonic() - began < 10
    assert host.container_cgroups() == []


def test_timeout(host: Host) -> None:
    began = time.monotonic()
    with pytest.raises(Conflict, match="longer than"):
        host.step("sh", "-c", "trap '' TERM; while :; do sleep 1; done", timeout=0.5)
    assert time.monotonic() - began < 5
    assert host.container_cgroups() == [] and not host.processes()


def test_cancel_ends_everything_it_started(host: Host) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()
    script = "(while :; do date >>/root/clock; sleep 0.01; done) & while :; do sleep 1; done"
    status, _, upper = host.step("sh", "-c", script, cancelled=stop.is_set)
    assert status.exit_code != 0
    assert time.monotonic() - began < 5
    size = (upper / "root/clock").stat().st_size
    time.sleep(0.1)
    assert (upper / "root/clock").stat().st_size == size
    assert host.container_cgroups() == [] and not host.processes()


def test_steps_leave_no_bundles(host: Host) -> None:
    host.step("true")
    assert list(host.paths.bundles.iterdir()) == []
