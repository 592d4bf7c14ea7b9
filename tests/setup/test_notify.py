"""What a service tells systemd, and what is kept of its errors."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import pytest

from paas.engine.watchdog import Watchdog
from paas.system.lasterrors import LastErrors
from paas.system.notify import notify, watchdog_seconds
from tests.harness.waiting import wait_until


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(5)
    return listener


def test_readiness_is_told_where_somebody_listens(manager: socket.socket) -> None:
    notify("READY=1", {"NOTIFY_SOCKET": str(manager.getsockname())})
    assert manager.recv(100) == b"READY=1"
    notify("READY=1", {})
    notify("READY=1", {"NOTIFY_SOCKET": "/nonexistent"})


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "180000000"}, 180.0),
        ({"WATCHDOG_USEC": "180000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_the_process_it_names(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environ) == seconds


def test_only_a_living_engine_says_so(manager: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": str(manager.getsockname()), "WATCHDOG_USEC": "30000", "WATCHDOG_PID": str(os.getpid())}
    asked: list[bool] = []

    def is_alive() -> bool:
        asked.append(len(asked) < 2)
        return asked[-1]

    with Watchdog(is_alive, environ):
        assert [manager.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
        wait_until(lambda: len(asked) > 4, "it goes on asking")
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)


def test_an_error_is_kept_with_its_place_and_without_the_text_of_the_exception() -> None:
    errors = LastErrors()
    log = logging.Logger("part")
    log.addHandler(errors)
    log.warning("no error")
    try:
        raise ValueError("a secret")
    except ValueError:
        log.exception("internal error %s", "4711abcd")

    (found,) = errors.listing()

    assert found.message == "internal error 4711abcd" and found.logger == "part"
    assert found.where.startswith("ValueError at ") and "test_notify.py" in found.where
    assert "a secret" not in str(found)
