"""Who holds a port of this host, for messages that name them."""

from __future__ import annotations

from pathlib import Path

_LISTEN = "0A"


def who_listens(port: int) -> str | None:
    """`nginx (pid 123)` for the process that listens on a TCP port; None when none does."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return _holder(inodes) if inodes else None


def _holder(inodes: set[str]) -> str:
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            for descriptor in (process / "fd").iterdir():
                if str(descriptor.readlink()) in inodes:
                    return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # gone meanwhile
    return "another program"
