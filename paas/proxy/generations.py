"""Generations of nginx as directories: written, tested, and which of them serves."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from paas.errors import InvalidInput, SystemFailure
from paas.paths import Paths
from paas.proxy import render
from paas.proxy.nginx import Generation, free_ports
from paas.proxy.render import Machine, Places, Public
from paas.proxy.sections import Sections
from paas.routes import Route
from paas.settings import Settings
from paas.system.accounts import account
from paas.system.files import ensure_directory, remove_tree, write_atomic, write_private

_WORKER_USER = "www-data"
_MIME_TYPES = Path("/etc/nginx/mime.types")

Note = tuple[int, str, dict[int, int]]
"""(number, digest, public port -> local port) of the nginx that serves; (0, "", {}) when there is none."""


class Generations:
    """Not thread-safe."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self._settings = settings
        self._root = paths.run / "nginx"
        self._scratch = paths.nginx / "scratch"
        self._logs = paths.log / "nginx"
        self.sections = Sections(paths.nginx / "pages", self._logs)
        self._last_port = settings.proxy_port_range[1]
        self.http2: Callable[[], bool] = lambda: True

    def prepare(self) -> None:
        """Make the directories that generations have in common."""
        ensure_directory(self._root, mode=0o711)
        # Bodies of requests and answers that wait for a slow end go to the disk: the run directory is often memory.
        ensure_directory(self._scratch, mode=0o700, owner=account(_WORKER_USER))

    def __iter__(self) -> Iterator[Generation]:
        return (Generation(directory) for directory in self._root.glob("g[0-9]*"))

    def public_ports(self, routes: Sequence[Route]) -> list[int]:
        return render.public_ports(routes, self._public)

    def free(self, public: Sequence[int]) -> dict[int, int]:
        """Public port -> a local port that nobody has."""
        low, high = self._settings.proxy_port_range
        return dict(zip(public, free_ports(len(public), low, high, self._last_port), strict=True))

    def write(self, routes: Sequence[Route], local: Mapping[int, int]) -> Generation:
        """The next one. Raises InvalidInput, SystemFailure."""
        number = max((generation.number for generation in self), default=0) + 1
        directory = self._root / f"g{number}"
        files = self.files(Generation(directory), routes, local)
        group = account(_WORKER_USER)[1]
        try:
            ensure_directory(directory, mode=0o711)
            ensure_directory(directory / "users", mode=0o711)
            for name, text in files.items():
                write_private(directory / name, text)
                if name.startswith("users/"):  # the workers read these, and nobody else may
                    os.chown(directory / name, 0, group)
                    (directory / name).chmod(0o640)
        except OSError as error:
            remove_tree(directory)
            raise SystemFailure(f"The configuration of nginx cannot be written: {error.strerror}") from error
        return Generation(directory)

    def files(self, generation: Generation, routes: Sequence[Route], local: Mapping[int, int]) -> dict[str, str]:
        """What is to be in a generation's directory, by name. Raises InvalidInput."""
        places = Places(generation.directory, self._logs, self._scratch)
        machine = Machine(
            _WORKER_USER,
            min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
            Path("/proc/net/if_inet6").exists(),
            str(_MIME_TYPES) if _MIME_TYPES.exists() else "",
        )
        return render.render(routes, local, self._public, places, machine, self.sections)

    def problem(self, routes: Sequence[Route]) -> str | None:
        """What nginx says against the configuration of some apps, tested without the others; None if nothing."""
        try:
            test = self.write(routes, self.free(self.public_ports(routes)))
        except InvalidInput as error:
            return error.message
        try:
            test.test()
        except SystemFailure as error:
            return error.message
        finally:
            remove_tree(test.directory)
        return None

    def note(self, serving: Generation, digest: str, local: Mapping[int, int]) -> None:
        """Which one serves, for the engine that comes after us."""
        self._last_port = max(local.values())
        note = {"generation": serving.number, "digest": digest, "ports": dict(local)}
        write_atomic(self._root / "current", json.dumps(note))

    def noted(self) -> Note:
        """Which one serves, as this engine or a former one noted."""
        try:
            note = json.loads((self._root / "current").read_text())
            generation = Generation(self._root / f"g{int(note['generation'])}")
            local = {int(public): int(port) for public, port in note["ports"].items()}
        except (OSError, ValueError, KeyError):
            return 0, "", {}
        if generation.pid is None:
            return 0, "", {}
        self._last_port = max(local.values(), default=self._last_port)
        return generation.number, str(note["digest"]), local

    def forget_note(self) -> None:
        (self._root / "current").unlink(missing_ok=True)

    @property
    def _public(self) -> Public:
        return Public(self._settings.http_port, self._settings.https_port, self.http2())


def stop_all(root: Path) -> None:
    """End every nginx of a run directory at once; for taking everything down."""
    for directory in (root / "nginx").glob("g[0-9]*"):
        generation = Generation(directory)
        generation.kill()
        if not generation.wait(5) and (pid := generation.pid) is not None:
            os.kill(pid, 9)
