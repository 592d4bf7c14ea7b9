"""Short-lived processes that hold new namespaces open until these are pinned."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from paas.errors import SystemFailure
from paas.system import run as system


@contextlib.contextmanager
def unshared(options: Sequence[str]) -> Iterator[int]:
    """The pid of a process in the new namespaces that these options of unshare(1) ask for; gone after the block.

    A program is started, rather than a fork of us: the engine has threads. Raises SystemFailure, with its words.
    """
    holder = system.start(["unshare", *options, "cat"], stdin=system.PIPE, stdout=system.PIPE, stderr=system.PIPE)
    assert holder.stdin and holder.stdout and holder.stderr
    try:
        with contextlib.suppress(BrokenPipeError):
            holder.stdin.write(b"x")
            holder.stdin.flush()
        if holder.stdout.read(1) != b"x":  # cat answers once it runs, and it runs in the namespaces
            said = holder.stderr.read(500).decode("utf-8", "replace").strip()
            raise SystemFailure(f"No namespace can be made: {said}", hint="sysctl user.max_user_namespaces")
        yield holder.pid
    finally:
        for stream in (holder.stdin, holder.stdout, holder.stderr):
            with contextlib.suppress(OSError):
                stream.close()
        holder.wait(timeout=10)
