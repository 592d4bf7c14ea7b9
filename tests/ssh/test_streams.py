"""The pipes of one command, where the machine has no more to give."""

from __future__ import annotations

import threading
from pathlib import Path

import paramiko
import pytest

from paas.ssh.streams import Streams


def test_a_command_that_gets_no_threads_leaves_no_descriptors() -> None:
    descriptors = set(Path("/proc/self/fd").iterdir())
    former = threading.stack_size(1 << 47)  # more than any address space has
    try:
        with (
            pytest.raises(RuntimeError, match="can't start new thread"),
            Streams(paramiko.Channel(1), None) as streams,
        ):
            streams.start(lambda: None, lambda: None)
    finally:
        threading.stack_size(former)
    assert set(Path("/proc/self/fd").iterdir()) == descriptors
