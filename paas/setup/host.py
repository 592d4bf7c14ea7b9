"""The host that is set up: its files, below another root where one is given, and its tools, run in that root."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paas.errors import SystemFailure
from paas.system import run as system
from paas.system.files import ensure_directory, write_atomic
from paas.system.run import Completed

OPT = "/opt/paas"
CURRENT = f"{OPT}/current"
COMMAND = "/usr/local/bin/paas"
UNIT = "/etc/systemd/system/paas.service"
SYSCTL = "/etc/sysctl.d/60-paas.conf"
MODULES = "/etc/modules-load.d/paas.conf"
SETTINGS = "/etc/paas/settings.yml"

_PASSED = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE")

Runner = Callable[..., Completed]


@dataclass(frozen=True, slots=True)
class Host:
    root: Path = Path("/")
    runner: Runner = field(default=system.run)
    """`paas.system.run.run`, or something with its arguments."""

    def path(self, name: str | Path) -> Path:
        """Where a path of the host lies."""
        return self.root / str(name).lstrip("/")

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 300.0,
        check: bool = True,
    ) -> Completed:
        """Run a tool of the host. Raises SystemFailure."""
        inside = argv if self.root == Path("/") else ["chroot", str(self.root), *argv]
        return self.runner(inside, input=input, env=env, timeout=timeout, check=check)

    def is_there(self, name: str) -> bool:
        """Whether there is something; where a symlink leads is not looked at, it may be meant for another root."""
        return os.path.lexists(self.path(name))

    def text(self, name: str) -> str | None:
        """A file's content; None when it is not there."""
        try:
            return self.path(name).read_text()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, text: str, *, mode: int = 0o644) -> None:
        ensure_directory(self.path(name).parent)
        write_atomic(self.path(name), text, mode=mode)

    def point(self, name: str, target: str) -> None:
        """Make a symlink, or turn one, in one rename. Raises SystemFailure where something else lies there."""
        link = self.path(name)
        if link.exists() and not link.is_symlink():
            raise SystemFailure(f"{name} is there and is no symlink", hint=f"Move it away: mv {name} {name}.old")
        ensure_directory(link.parent)
        new = link.with_name(f".{link.name}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.rename(link)

    def points(self, name: str) -> str | None:
        """Where a symlink leads; None when there is none."""
        link = self.path(name)
        return str(link.readlink()) if link.is_symlink() else None


def passed_on() -> dict[str, str]:
    """What pip and apt need of the caller's environment: proxies, certificates, pip's own settings."""
    return {key: value for key, value in os.environ.items() if key in _PASSED or key.startswith("PIP_")}
