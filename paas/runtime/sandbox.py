"""Sandboxes: everything a container needs that does not depend on its image, made ahead and kept ready."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Protocol

from paas.errors import PaasError, SystemFailure
from paas.faults import reached
from paas.network.addresses import instance_address, instance_capacity
from paas.paths import Paths
from paas.runtime import userns
from paas.settings import Settings
from paas.system import mounts
from paas.system.files import ensure_directory, remove_tree

log = logging.getLogger(__name__)

_REST = 64
"""A number given back is used again only after so many others, if there are: connections to its address may linger."""
_QUIET = 0.25
"""Seconds without a start or an end after which the pool is filled up: to make a sandbox takes as much of a processor
as half of a container's start."""
_LAST_ID = 2**32 - 2
"""Of user and group ids; the one above it stands for "none"."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A user namespace with its range of ids, and a network namespace with an address. Pins are files to open."""

    number: int
    address: IPv4Address
    link: str
    uid_base: int
    directory: Path

    @property
    def userns(self) -> Path:
        return self.directory / "user"

    @property
    def netns(self) -> Path:
        return self.directory / "net"

    @property
    def idmap(self) -> Path:
        """The user namespace for id-mapped mounts of writable layers."""
        return self.directory / "idmap"


class Connector(Protocol):
    """The part of the network that a sandbox needs."""

    def connect(self, netns: Path, link: str, address: IPv4Address) -> None: ...

    def disconnect(self, link: str, address: IPv4Address) -> None: ...


class SandboxPool:
    def __init__(self, settings: Settings, paths: Paths, network: Connector) -> None:
        self._settings = settings
        self._root = paths.sandboxes
        ranges = (_LAST_ID + 1 - settings.uid_base) // userns.SIZE - 1
        self._capacity = max(0, min(instance_capacity(settings), ranges))
        self._network = network
        self._condition = threading.Condition()
        self._ready: deque[Sandbox] = deque()
        self._used: dict[int, Sandbox] = {}
        self._ending: deque[Sandbox] = deque()
        """Of those used, whose that nobody needs any more; the last one may be half destroyed."""
        self._touched = 0.0
        self._resting: deque[int] = deque(maxlen=_REST)
        self._making: set[int] = set()
        self._next = 0
        self._closing = False
        self._thread: threading.Thread | None = None

    def start(self, in_use: Iterable[IPv4Address] = ()) -> None:
        """Take over the sandboxes whose addresses are in use, destroy what else is found, begin to fill the pool."""
        ensure_directory(self._root, mode=0o711)
        kept = set(in_use)
        for entry in sorted(self._root.iterdir()):
            sandbox = self._named(int(entry.name)) if self._is_number(entry.name) else None
            if sandbox is not None and sandbox.address in kept:
                self._used[sandbox.number] = sandbox
                self._next = max(self._next, sandbox.number)
            else:
                self._destroy(sandbox, entry)
        self._thread = threading.Thread(target=self._fill, name="sandboxes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop filling; the sandboxes stay for the next engine. Those that were let go are destroyed."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread is not None:
            self._thread.join(10)

    def take(self) -> Sandbox:
        """A sandbox of one's own: a ready one at once, else one made now (about 20 ms)."""
        with self._condition:
            self._touched = time.monotonic()
            if self._ready:
                sandbox = self._ready.popleft()
                self._used[sandbox.number] = sandbox
                self._condition.notify_all()
                return sandbox
            while True:
                try:
                    number = self._reserve()
                    break
                except SystemFailure:
                    if not self._ending:
                        raise
                    self._condition.wait(1)
        sandbox = self._make(number)
        with self._condition:
            self._used[number] = sandbox
            self._making.discard(number)
        return sandbox

    def release(self, sandbox: Sandbox) -> None:
        """Destroy a sandbox; asking twice is harmless."""
        with self._condition:
            if self._used.get(sandbox.number) is not sandbox:
                return
        self._destroy(sandbox, sandbox.directory)
        with self._condition:
            self._used.pop(sandbox.number, None)
            self._resting.append(sandbox.number)

    def let_go(self, sandbox: Sandbox) -> None:
        """Like `release`, but nobody waits for it: half of the time goes by in the kernel, which ends a network."""
        if self._thread is None:
            self.release(sandbox)
            return
        with self._condition:
            if self._used.get(sandbox.number) is sandbox and sandbox not in self._ending:
                self._ending.append(sandbox)
                self._touched = time.monotonic()
                self._condition.notify_all()

    def at(self, address: IPv4Address) -> Sandbox | None:
        """The sandbox in use with this address."""
        with self._condition:
            return next((sandbox for sandbox in self._used.values() if sandbox.address == address), None)

    def _is_number(self, name: str) -> bool:
        return name.isascii() and name.isdigit() and 1 <= int(name) <= self._capacity

    def _named(self, number: int) -> Sandbox:
        return Sandbox(
            number=number,
            address=instance_address(self._settings, number),
            link=f"{self._settings.link_prefix}{number}",
            uid_base=self._settings.uid_base + userns.SIZE * number,
            directory=self._root / str(number),
        )

    def _reserve(self) -> int:
        """A free number, rotating through the range. Called with the condition held."""
        taken = {*self._used, *self._making, *(sandbox.number for sandbox in self._ready)}
        for avoided in (taken.union(self._resting), taken):
            for _ in range(self._capacity):
                self._next = self._next % self._capacity + 1
                if self._next not in avoided:
                    self._making.add(self._next)
                    return self._next
        raise SystemFailure(
            "All container addresses are in use",
            hint="Set instance_network to a larger network, or uid_base to a lower id.",
        )

    def _make(self, number: int) -> Sandbox:
        """Make the sandbox of a reserved number. The caller ends the reservation as it notes the sandbox."""
        sandbox = self._named(number)
        try:
            ensure_directory(sandbox.directory, mode=0o711)
            userns.make_container_namespaces(sandbox.uid_base, sandbox.userns, sandbox.netns)
            reached("sandbox:namespaces-made")
            userns.make_idmap_namespace(sandbox.uid_base, sandbox.idmap)
            self._network.connect(sandbox.netns, sandbox.link, sandbox.address)
            reached("sandbox:connected")
        except BaseException:
            self._destroy(sandbox, sandbox.directory)
            with self._condition:
                self._making.discard(number)
            raise
        return sandbox

    def _destroy(self, sandbox: Sandbox | None, directory: Path) -> None:
        if sandbox is not None:
            self._network.disconnect(sandbox.link, sandbox.address)
            reached("sandbox:disconnected")
        for name in ("user", "net", "idmap"):
            mounts.unmount(directory / name)
        with contextlib.suppress(FileNotFoundError):
            remove_tree(directory)

    def _fill(self) -> None:
        while (job := self._next_job()) is not None:
            try:
                if isinstance(job, Sandbox):
                    self.release(job)
                else:
                    sandbox = self._make(job)
                    with self._condition:
                        self._ready.append(sandbox)
                        self._making.discard(job)
            except (PaasError, OSError) as error:
                log.error("a sandbox could not be made ahead, or removed: %s", error)
                self._pause()
            except Exception:  # without this thread nothing would be made ahead or removed any more
                log.exception("a sandbox could not be made ahead, or removed")
                self._pause()
            finally:
                if isinstance(job, Sandbox):
                    with self._condition:
                        self._ending.remove(job)
                        self._condition.notify_all()

    def _pause(self) -> None:
        with self._condition:
            self._condition.wait(1)

    def _next_job(self) -> Sandbox | int | None:
        """Wait for a sandbox to destroy, or the number of one to make; None when the pool is closed."""
        with self._condition:
            while True:
                if self._ending:
                    return self._ending[0]
                if self._closing:
                    return None
                lacking = self._settings.ready_sandboxes - len(self._ready)
                quiet_in = self._touched + _QUIET - time.monotonic()
                if lacking > 0 and (quiet_in <= 0 or 2 * lacking > self._settings.ready_sandboxes):
                    try:
                        return self._reserve()
                    except SystemFailure:
                        self._condition.wait(1)
                else:
                    self._condition.wait(quiet_in if lacking > 0 else None)
