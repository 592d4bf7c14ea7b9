"""Programs of the host that fetch something for a build: with the network of a container, and no rights at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from paas.errors import BuildFailed, Cancelled
from paas.runtime.sandbox import Sandbox, SandboxPool
from paas.system import run as system
from paas.system.files import ensure_directory, remove_tree
from paas.system.processes import gone_within

_NAMES = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
"""The host's name servers may listen where a container does not get."""


class Outside:
    """A context manager; `directory` is its own. Made when first used.

    An address in a Dockerfile may name anything. What a container may not reach (the host's own services, other
    apps) is out of reach here as well; and what runs has the id of a container's root, which owns nothing else.
    """

    def __init__(
        self,
        sandboxes: SandboxPool,
        scratch: Path,
        resolv_conf: str,
        environment: Mapping[str, str],
        stopped: Callable[[], bool],
    ) -> None:
        self._sandboxes = sandboxes
        self._resolv_conf = resolv_conf
        self._environment = environment
        self._stopped = stopped
        self._sandbox: Sandbox | None = None
        self._scratch = scratch / f"fetch-{secrets.token_hex(6)}"

    def __enter__(self) -> Outside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sandbox is not None:
            self._sandboxes.release(self._sandbox)
            self._sandbox = None
        remove_tree(self._scratch)

    @property
    def directory(self) -> Path:
        """Where programs may write."""
        if not self._scratch.exists():
            ensure_directory(self._scratch.parent, mode=0o711)
            ensure_directory(self._scratch, mode=0o711)
            (self._scratch / "resolv.conf").write_text(self._resolv_conf)
            owner = self._taken().uid_base
            ensure_directory(self._scratch / "work", mode=0o700, owner=(owner, owner))
        return self._scratch / "work"

    def _taken(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = self._sandboxes.take()
        return self._sandbox

    def run(self, argv: Sequence[str], *, input: bytes = b"", env: Mapping[str, str], limit: int) -> bytes:
        """Run a program and return its output; a file it writes has at most `limit` bytes.

        Raises BuildFailed with its last words, Cancelled.
        """
        directory, sandbox = self.directory, self._taken()
        output, errors = (self._scratch / name for name in ("output", "errors"))
        given = self._scratch / "input"
        given.touch(0o600)
        given.write_bytes(input)
        command = [
            *("nsenter", f"--net={sandbox.netns}", "--"),
            *("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", _NAMES, "sh"),
            str(self._scratch / "resolv.conf"),
            *("prlimit", f"--fsize={limit}", "--"),
            *("setpriv", f"--reuid={sandbox.uid_base}", f"--regid={sandbox.uid_base}", "--clear-groups"),
            *("--no-new-privs", "--bounding-set=-all", "--"),
            *argv,
        ]
        with given.open("rb") as stdin, output.open("wb") as stdout, errors.open("wb") as stderr:
            process = system.start(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env={**self._environment, **env, "HOME": str(directory)},
                cwd=directory,
                new_session=True,
            )
        given.unlink()
        try:
            while not gone_within(process.pid, 0.2):
                if self._stopped():
                    raise Cancelled("The build was cancelled")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, 9)
            process.wait(timeout=10)
        if process.returncode != 0:
            words = errors.read_text("utf-8", "replace").strip().splitlines()[-3:]
            raise BuildFailed("; ".join(words) or f"{argv[0]} ended with status {process.returncode}")
        return output.read_bytes()
