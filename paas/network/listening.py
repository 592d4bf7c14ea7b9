"""Who holds a port of this host, for messages that name them."""

from __future__ import annotations

from pathlib import Path

from paas.system.sockets import tcp_sockets


def who_listens(port: int) -> str | None:
    """`nginx (pid 123)` for the process that listens on a TCP port; None when none does."""
    inodes = {f"socket:[{found.inode}]" for found in tcp_sockets() if found.listens and found.port == port}
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
