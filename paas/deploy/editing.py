"""An editor for texts of the engine's, over a caller's terminal: nano in a container that has nothing but nano."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.errors import InvalidInput, SystemFailure
from paas.model import Mount
from paas.paths import Paths
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import SandboxPool
from paas.runtime.spec import Allowance, ContainerSpec, new_id
from paas.system.files import ensure_directory, remove_tree, write_private

_NANO = Path("/usr/bin/nano")
_HOST = ("/lib", "/lib64", "/usr/lib", "/usr/bin/nano", "/usr/share/terminfo")
"""What nano needs of the host, read-only."""
_LIMIT = 2 << 20
_MEMORY = 64 << 20


@dataclass(frozen=True, slots=True)
class Editing:
    """A container that waits to be started, with a terminal."""

    id: str
    file: Path

    def text(self) -> str:
        """What the file holds. Raises InvalidInput."""
        descriptor = os.open(self.file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(_LIMIT + 1)
        if len(data) > _LIMIT:
            raise InvalidInput(f"The text is longer than {_LIMIT} bytes")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise InvalidInput("The text is not UTF-8") from None


class Editor:
    def __init__(self, paths: Paths, runtime: Runtime, sandboxes: SandboxPool) -> None:
        self._directory = paths.run / "editing"
        self._runtime = runtime
        self._sandboxes = sandboxes

    @contextlib.contextmanager
    def open(self, text: str) -> Iterator[Editing]:
        """Prepare to edit a text. It lies in memory (the run directory), and is gone after the block.

        Raises SystemFailure when the host has no nano.
        """
        if not _NANO.exists():
            raise SystemFailure("This host has no editor", hint="apt-get install nano")
        directory = ensure_directory(self._directory / secrets.token_hex(8), mode=0o700)
        with contextlib.ExitStack() as undo:
            undo.callback(remove_tree, directory)
            file = directory / "config-vars"
            write_private(file, text)
            id = new_id()
            sandbox = self._sandboxes.take()
            undo.callback(self._sandboxes.release, sandbox)
            undo.callback(self._runtime.remove, id)
            self._runtime.create(
                ContainerSpec(
                    id=id,
                    layers=(),
                    # Restricted: it reads and writes this file only, and starts nothing.
                    args=(str(_NANO), "--restricted", "--ignorercfiles", f"/edit/{file.name}"),
                    env={"LANG": "C.UTF-8"},
                    hostname="editor",
                    terminal=True,
                    mounts=(Mount(directory, "/edit"),),
                    host_files={path: Path(path).resolve() for path in _HOST if Path(path).exists()},
                    allowance=Allowance(memory=_MEMORY),
                    pids=8,
                    network="none",
                ),
                sandbox,
            )
            yield Editing(id, file)
