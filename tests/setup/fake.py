"""A host in a scratch directory whose tools do on paper what the real ones do: only their traces are made."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.errors import SystemFailure
from paas.setup.host import Host
from paas.setup.install import PACKAGES
from paas.system.run import Completed


@dataclass
class Tools:
    """`broken`: tools, or words of command lines, that fail; `sick`: versions whose engine does not answer."""

    root: Path
    packages: set[str] = field(default_factory=set)
    active: bool = False
    broken: set[str] = field(default_factory=set)
    sick: set[str] = field(default_factory=set)
    knows: int = 9
    keys: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def __call__(self, argv: Sequence[str], *, input: bytes | None = None, check: bool = True, **_: Any) -> Completed:
        words = list(argv)
        assert words[:2] == ["chroot", str(self.root)]
        words = words[2:]
        self.ran.append(" ".join(words))
        tool = Path(words[0]).name
        status, text = (1, "") if {tool, *words} & self.broken else self._do(tool, words, input or b"")
        if check and status != 0:
            raise SystemFailure(f"{tool} failed with status {status}")
        return Completed(tuple(words), status, text.encode(), b"")

    def _do(self, tool: str, words: list[str], input: bytes) -> tuple[int, str]:
        match tool, words[1:]:
            case "dpkg-query", _:
                return 0, " ".join(f"{name}=installed" for name in self.packages)
            case "apt-get", ["install", *_]:
                assert "exit 101" in (self.root / "usr/sbin/policy-rc.d").read_text()
                self.packages |= set(PACKAGES)
            case "useradd", _:
                with (self.root / "etc/passwd").open("a") as file:
                    file.write("paas:x:999:999::/nonexistent:/usr/sbin/nologin\n")
            case "python3", ["-m", "venv", place]:
                (self.root / place.lstrip("/") / "bin").mkdir(parents=True)
                (self.root / place.lstrip("/") / "bin/paas").touch()
            case "python", ["-c", code]:
                return 0, str(self.knows) if "MIGRATIONS" in code else "[Unit]\n" if "UNIT_TEXT" in code else ""
            case "systemctl", ["is-active" | "is-enabled", "paas"]:
                return (0, "active\n") if self.active else (3, "inactive\n")
            case "systemctl", ["enable" | "restart", *_]:
                self.active = True
            case "systemctl", ["disable" | "stop", *_]:
                self.active = False
            case "ssh-keygen", _:
                return 0, f"256 SHA256:{input.decode().split()[1]} no comment"
            case "paas", ["ssh-keys:list", *_]:
                return 0, "[" + ", ".join(f'{{"fingerprint": "SHA256:{key}"}}' for key in self.keys) + "]"
            case "paas", ["ssh-keys:add", *_]:
                self.keys.append(input.decode().split()[1])
            case "paas", ["version"]:
                current = (self.root / "opt/paas/current").readlink().name
                return (1, "") if current in self.sick or not self.active else (0, "paas version 0.1.0\n")
        return 0, ""


def new_host(root: Path) -> tuple[Host, Tools]:
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (root / "usr/sbin").mkdir(parents=True)
    tools = Tools(root)
    return Host(root, tools), tools


def new_project(place: Path, mark: str = "") -> Path:
    """The least that setup takes for paas's own directory."""
    (place / "paas").mkdir(parents=True)
    (place / "pyproject.toml").write_text(f"# {mark}\n")
    (place / "paas/__init__.py").write_text('__version__ = "0.1.0"\n')
    return place


def new_database(root: Path, schema: int) -> Path:
    path = root / "var/lib/paas/paas.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS marks (text)")
        connection.execute(f"PRAGMA user_version = {schema}")
    connection.close()
    return path
