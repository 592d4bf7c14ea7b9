"""Waiting for the ends of processes that are not our children."""

from __future__ import annotations

import logging
import os
import select
import threading
from collections.abc import Callable

from paas.errors import PaasError
from paas.system.processes import readable

log = logging.getLogger(__name__)


class Watcher:
    """One thread that waits for the processes of all watched containers."""

    def __init__(self) -> None:
        self.callback: Callable[[str], None] = lambda id: None
        self._lock = threading.Lock()
        self._epoll = select.epoll()
        self._watched: dict[int, str] = {}
        threading.Thread(target=self._run, name="watcher", daemon=True).start()

    def add(self, id: str, pid: int | None) -> None:
        """Tell of the end of this process, the container's first; at once when there is none any more."""
        with self._lock:
            if id in self._watched.values():
                return
        try:
            if pid is None:
                raise ProcessLookupError
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            threading.Thread(target=self._tell, args=(id,), daemon=True).start()
            return
        with self._lock:
            self._watched[descriptor] = id
            self._epoll.register(descriptor, select.EPOLLIN)

    def discard(self, id: str) -> None:
        """Tell of this one no more."""
        with self._lock:
            for descriptor in [fd for fd, watched in self._watched.items() if watched == id]:
                self._forget(descriptor)

    def _run(self) -> None:
        while True:
            for descriptor, _ in self._epoll.poll():
                with self._lock:
                    id = self._watched.get(descriptor)
                    if id is None or not readable(descriptor):
                        continue  # let go meanwhile; the number may be another container's by now
                    self._forget(descriptor)
                threading.Thread(target=self._tell, args=(id,), name="container end", daemon=True).start()

    def _forget(self, descriptor: int) -> None:
        self._epoll.unregister(descriptor)
        del self._watched[descriptor]
        os.close(descriptor)

    def _tell(self, id: str) -> None:
        try:
            self.callback(id)
        except PaasError as error:
            log.error("after the end of container %s: %s", id[:12], error.message)
