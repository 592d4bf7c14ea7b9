"""conmon: one small process per container that keeps its output, terminal and exit status. See conmon(8)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from paas.errors import SystemFailure
from paas.system import run as system
from paas.system.processes import readable

_CREATED_WITHIN = 60.0
"""Seconds, after which a runtime that says nothing is taken for stuck."""
CRUN = "/usr/bin/crun"
_RUNTIME_OPTIONS = ("--cgroup-manager=disabled",)
"""It leaves a container in the cgroups of its caller."""


@dataclass(frozen=True, slots=True)
class Places:
    """Directories below the run directory that conmon and crun keep their files in."""

    run: Path

    @property
    def crun(self) -> Path:
        return self.run / "crun"

    @property
    def exits(self) -> Path:
        """A file for each container that has ended, named by its id, with its exit status."""
        return self.run / "exits"

    @property
    def sockets(self) -> Path:
        return self.run / "sockets"

    @property
    def persist(self) -> Path:
        return self.run / "persist"


def crun(places: Places, *words: str) -> tuple[str, ...]:
    """crun's command line. A container is left in the cgroups of its caller."""
    return (CRUN, "--root", str(places.crun), *_RUNTIME_OPTIONS, *words)


def keeper_of(pid: int) -> int | None:
    """The conmon of a container's first process: its parent. None when that was killed."""
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        name = Path(f"/proc/{parent}/comm").read_text().strip()
    except (OSError, IndexError):
        return None
    return parent if name == "conmon" else None


def let_begin(places: Places, id: str) -> bool:
    """Do what `crun start` does, without its 8 ms: the created process waits for a byte in a FIFO.

    False when it does not wait there; crun itself is to be asked then.
    """
    fifo = places.crun / id / "exec.fifo"
    try:
        descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fifo.unlink()  # to crun, a container without one runs
        os.write(descriptor, b"\0")
    finally:
        os.close(descriptor)
    return True


def argv(
    places: Places,
    id: str,
    bundle: Path,
    log: Path,
    runtime: tuple[str, ...],
    *,
    terminal: bool,
    passthrough: bool,
    stdin: bool = False,
    keep_stdin: bool = False,
    log_limit: int,
) -> tuple[str, ...]:
    """`conmon` that creates (does not start) a container; it begins its log anew after `log_limit` bytes.

    `runtime` is crun's command line, up to its subcommand.
    """
    logging = (
        ("--log-path", "passthrough")
        if passthrough
        else ("--log-path", f"k8s-file:{log}", "--log-size-max", str(log_limit))
    )
    return (
        "conmon",
        "--api-version", "1",
        "--cid", id,
        "--cuuid", id,
        "--name", id,
        "--runtime", runtime[0],
        "--bundle", str(bundle),
        "--container-pidfile", str(bundle / "pid"),
        "--exit-dir", str(places.exits),
        "--persist-dir", str(places.persist / id),
        "--socket-dir-path", str(places.sockets),
        "--log-level", "error",
        *logging,
        *(("--terminal",) if terminal else ()),
        *(("--stdin",) if terminal or stdin else ()),
        *(("--leave-stdin-open",) if keep_stdin else ()),
        *(part for word in runtime[1:] for part in ("--runtime-arg", word)),
    )  # fmt: skip


def create(command: tuple[str, ...], stdio: tuple[int, int, int] | None, cwd: Path) -> int:
    """Run conmon until the container is created; returns the pid of its first process. Raises SystemFailure.

    conmon reports over the descriptor in _OCI_SYNCPIPE: a JSON object with the pid, or -1 and the runtime's message.
    """
    read, write = os.pipe()
    process: system.Process | None = None
    try:
        stdin, stdout, stderr = stdio or (None, None, None)
        process = system.start(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={"_OCI_SYNCPIPE": str(write)},
            pass_fds=[write],
            cwd=cwd,
            new_session=True,
        )
        os.close(write)
        write = -1
        report = b""
        while readable(read, _CREATED_WITHIN) and (piece := os.read(read, 65536)):
            report += piece
            if report.endswith(b"\n"):
                break
    finally:
        os.close(read)
        if process is not None:
            process.wait(timeout=10)  # the first process; the one that stays is its child
        if write >= 0:
            os.close(write)
    return _pid(report)


def _pid(report: bytes) -> int:
    try:
        value = json.loads(report)
        pid = int(value.get("pid", value.get("data", -1)))
    except (ValueError, AttributeError):
        raise SystemFailure(f"conmon ended without a report ({report[:200]!r})") from None
    if pid <= 0:
        raise SystemFailure(f"The container cannot be created: {str(value.get('message', '')).strip() or 'no reason'}")
    return pid
