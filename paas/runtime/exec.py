"""Further processes in a running container, with the caller's streams or a terminal of the container's own."""

from __future__ import annotations

import array
import fcntl
import json
import os
import secrets
import signal
import socket
import struct
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from paas.errors import SystemFailure
from paas.system import run as system
from paas.system.files import write_private
from paas.system.processes import gone_within


class ExecSession:
    """A process started by `exec`. `master` is the master side of its terminal, None without one."""

    def __init__(self, process: system.Process, master: int | None, pid_file: Path) -> None:
        self._process = process
        self.master = master
        self._pid_file = pid_file

    def resize(self, rows: int, columns: int) -> None:
        if self.master is not None:
            fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait(self, timeout: float) -> int | None:
        """The exit status (128 + signal), or None when it runs on after `timeout` seconds."""
        if self._process.returncode is None and not gone_within(self._process.pid, timeout):
            return None  # subprocess' own wait would look only every 50 ms
        status = self._process.wait()
        return 128 - status if status < 0 else status

    def leave(self) -> None:
        """Let the process go on by itself; it has to have no terminal."""

        def reap() -> None:
            self._process.wait()
            self._pid_file.unlink(missing_ok=True)

        threading.Thread(target=reap, name="exec", daemon=True).start()

    def __enter__(self) -> ExecSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process if it still runs: whoever asked for it is gone."""
        if self.master is not None:
            os.close(self.master)
            self.master = None
        if self._process.poll() is None:
            try:
                os.kill(int(self._pid_file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                pass
            self._process.kill()
            self._process.wait(10)
        self._pid_file.unlink(missing_ok=True)


def start_exec(
    crun_exec: Sequence[str],
    id: str,
    process: Mapping[str, object],
    directory: Path,
    stdio: tuple[int, int, int] | None,
) -> ExecSession:
    """Run `crun exec` with an OCI `process` object; without `stdio` the process gets a terminal."""
    mark = secrets.token_hex(6)
    description, pid_file = directory / f"exec-{mark}.json", directory / f"exec-{mark}.pid"
    write_private(description, json.dumps(process))
    words = [*crun_exec, "--process", str(description), "--pid-file", str(pid_file)]
    try:
        if stdio is not None:
            running = system.start([*words, id], stdin=stdio[0], stdout=stdio[1], stderr=stdio[2], new_session=True)
            session = ExecSession(running, None, pid_file)
        else:
            session = _with_terminal(words, id, directory / f"exec-{mark}.sock", pid_file)
        _wait_for_pid(session, pid_file)
        return session
    finally:
        description.unlink(missing_ok=True)


def _with_terminal(words: list[str], id: str, path: Path, pid_file: Path) -> ExecSession:
    """crun sends the terminal's master side over a unix socket (runc's --console-socket convention)."""
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(f"/proc/self/fd/{folder}/{path.name}")
            listener.listen(1)
            listener.settimeout(10)
            running = system.start(
                [*words, "--tty", "--console-socket", str(path), id], stderr=system.PIPE, new_session=True
            )
            try:
                connection, _ = listener.accept()
                with connection:
                    master = _receive_descriptor(connection)
            except OSError:
                running.kill()
                said = (running.communicate()[1] or b"").decode("utf-8", "replace").strip()
                raise SystemFailure(f"No terminal in the container: {said or 'no answer'}") from None
    finally:
        os.close(folder)
        path.unlink(missing_ok=True)
    return ExecSession(running, master, pid_file)


def _receive_descriptor(connection: socket.socket) -> int:
    connection.settimeout(10)
    _, ancillary, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            return array.array("i", data[:4])[0]
    raise OSError("no descriptor")


def _wait_for_pid(session: ExecSession, pid_file: Path) -> None:
    """Until crun has read the description: it may be removed then."""
    for _ in range(2000):
        if pid_file.exists() or session.wait(0.005) is not None:
            return
