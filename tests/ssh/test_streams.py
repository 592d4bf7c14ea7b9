"""The pipes of one command, where the machine has no more to give."""

from __future__ import annotations

import os
import pwd
import select
import threading
from pathlib import Path

import paramiko
import pytest

from paas.source import repos
from paas.ssh.git import GitServices, environment
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


def test_git_whose_output_nobody_can_carry_is_ended(tmp_path: Path) -> None:
    repo = tmp_path / "x.git"
    repos.init_bare(repo, pwd.getpwuid(os.geteuid()).pw_name)

    def refuse(end: object) -> None:
        raise RuntimeError("can't start new thread")

    stdin, ours = os.pipe()
    output, theirs = os.pipe()
    env = environment("/nonexistent", "ticket", "x", str(repo), 1)
    try:
        with pytest.raises(RuntimeError):
            GitServices().run("git-receive-pack", str(repo), env, (stdin, theirs, theirs), refuse)
        os.close(theirs)
        while select.select([output], [], [], 15)[0]:
            if not os.read(output, 65536):
                break
        else:
            pytest.fail("git still waits for what its client says")
    finally:
        for descriptor in (stdin, ours, output):
            os.close(descriptor)
