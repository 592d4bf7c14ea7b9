"""What a test machine may not leave on the host, looked for by the token in its names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from paas.system.run import run

_CGROUPS = Path("/sys/fs/cgroup")


def leftovers(token: str) -> list[str]:
    """Mounts, links, nft tables, cgroups, directories and processes that are still there; none, when all is well."""
    return [f"{kind}: {what}" for kind, what in _find(token)]


def processes_in(namespace: int) -> list[int]:
    """The processes in a pid namespace, by its inode, with their pids as this host sees them.

    Hold it open meanwhile: the number of one that is gone is given to the next.
    """
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "ns/pid").stat().st_ino == namespace:
                    found.append(int(entry.name))
            except OSError:
                continue  # ended meanwhile
    return found


def _find(token: str) -> Iterator[tuple[str, str]]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if token in line:
            yield "mount", line.split()[4]
    for link in Path("/sys/class/net").iterdir():
        if token in link.name:
            yield "link", link.name
    for line in run(["nft", "list", "tables"]).text.splitlines():
        if token in line:
            yield "nft", line
    for directory, names, _ in os.walk(_CGROUPS):
        for name in list(names):
            if token in name:
                names.remove(name)
                yield "cgroup", f"{directory}/{name}"
    for parent in ("/run", "/var/tmp", "/tmp"):
        for file in Path(parent).iterdir():
            if token in file.name:
                yield "directory", str(file)
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and (command := _command_of(process)) and token in command:
            yield "process", f"{process.name}: {command}"


def _command_of(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""
