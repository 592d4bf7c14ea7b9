"""One thread for everything rtnetlink: it may enter other network namespaces without taking any other thread along."""

from __future__ import annotations

import ctypes
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from paas.errors import SystemFailure
from paas.network.netlink import IPRoute

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_T = TypeVar("_T")


class NetlinkWorker:
    """Runs jobs one after the other, in the network namespace it was made in.

    pyroute2 keeps a socket and an event loop for each thread that ever used an IPRoute; threads that come and go with
    commands would pile them up. On this thread there is one.
    """

    def __init__(self) -> None:
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._jobs: queue.SimpleQueue[tuple[Callable[[Any], object], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="netlink", daemon=True)
        self._thread.start()

    def run(self, job: Callable[[Any], _T]) -> _T:
        """Call `job` with an IPRoute of the home namespace; return its result or raise its error."""
        future: Future[_T] = Future()
        self._jobs.put((job, future))
        return future.result()

    def inside(self, netns: int, job: Callable[[Any], None]) -> None:
        """For use in a job: call `job` with an IPRoute of another network namespace (an open descriptor)."""
        assert threading.current_thread() is self._thread
        _enter(netns)
        try:
            with IPRoute() as route:
                job(route)
        finally:
            _enter(self._home)

    def close(self) -> None:
        """End the thread after the jobs it has. No job may follow."""
        self._jobs.put(None)
        self._thread.join()
        os.close(self._home)

    def _work(self) -> None:
        with IPRoute() as route:
            while (entry := self._jobs.get()) is not None:
                job, future = entry
                try:
                    future.set_result(job(route))
                except BaseException as error:  # noqa: BLE001  handed to the caller, who raises it
                    future.set_exception(error)
                del entry, job, future  # an idle thread keeps no caller's things


def _enter(netns: int) -> None:
    if _libc.setns(netns, _CLONE_NEWNET) < 0:
        raise SystemFailure(f"A network namespace cannot be entered: {os.strerror(ctypes.get_errno())}")
