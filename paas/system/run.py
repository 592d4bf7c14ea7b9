"""The only place that starts processes: argument lists, never a shell; failures become SystemFailure here."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paas.errors import DiskFull, SystemFailure

BASE_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/"}
"""What our own tools get: nothing of the caller's environment leaks into them."""

Descriptor = int | IO[bytes]


@dataclass(frozen=True, slots=True)
class Completed:
    """How a tool ended. `status` is negative when a signal ended it."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")

    @property
    def error(self) -> str:
        return self.stderr.decode("utf-8", "replace").strip()


def run(
    argv: Sequence[str],
    *,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    timeout: float | None = 60.0,
    check: bool = True,
) -> Completed:
    """Run a tool to its end and return what it printed.

    `env` is added to BASE_ENV. `user` drops privileges to that account and its own group. A non-zero status raises
    SystemFailure unless `check` is false; the error shows the tool's own message, never its arguments' values.
    """
    identity = user if os.geteuid() == 0 else None
    try:
        done = subprocess.run(
            list(argv),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            env={**BASE_ENV, **(env or {})},
            cwd=cwd,
            timeout=timeout,
            user=identity,
            group=identity,
            extra_groups=None if identity is None else [],
        )
    except FileNotFoundError as error:
        raise _missing(argv[0]) from error
    except subprocess.TimeoutExpired as error:
        raise SystemFailure(f"{argv[0]} did not finish within {timeout:.0f} seconds") from error
    completed = Completed(tuple(argv), done.returncode, done.stdout, done.stderr)
    if check and done.returncode != 0:
        raise failure(completed)
    return completed


def start(
    argv: Sequence[str],
    *,
    stdin: Descriptor | None = None,
    stdout: Descriptor | None = None,
    stderr: Descriptor | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a tool and return its process; descriptors not given are /dev/null. The caller must wait for it."""
    identity = user if os.geteuid() == 0 else None
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.DEVNULL if stdout is None else stdout,
            stderr=subprocess.DEVNULL if stderr is None else stderr,
            env={**BASE_ENV, **(env or {})},
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            start_new_session=new_session,
            user=identity,
            group=identity,
            extra_groups=None if identity is None else [],
        )
    except FileNotFoundError as error:
        raise _missing(argv[0]) from error
    except PermissionError as error:
        who = user or "root"
        raise SystemFailure(f"{argv[0]} cannot be run as {who}", hint=f"Let {who} read and run it.") from error


PIPE = subprocess.PIPE
Process = subprocess.Popen[bytes]
TimeoutExpired = subprocess.TimeoutExpired


def failure(done: Completed) -> SystemFailure:
    """The error for a tool that ended badly: its name and the last lines it printed."""
    said = "\n".join((done.error or done.text.strip()).splitlines()[-5:])
    how = f"was ended by signal {-done.status}" if done.status < 0 else f"failed with status {done.status}"
    kind = DiskFull if os.strerror(errno.ENOSPC) in said else SystemFailure
    return kind(f"{Path(done.argv[0]).name} {how}" + (f": {said}" if said else ""))


def _missing(tool: str) -> SystemFailure:
    return SystemFailure(f"{Path(tool).name} is not installed", hint=f"apt-get install {Path(tool).name}")
