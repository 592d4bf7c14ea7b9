"""Who visits an app while it changes: those in a hurry (tests.harness.load), and the patient ones here."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from paas.paths import PROJECT
from paas.system import run as system
from tests.harness import tls
from tests.harness.load import Report


class Crowd:
    """A context manager: `tests.harness.load` runs inside the block; `report` is there after it."""

    def __init__(self, address: str, host: str, *kinds: str, port: int = 80) -> None:
        argv = [sys.executable, "-m", "tests.harness.load", address, str(port), host, *kinds]
        self._process = system.start(argv, stdin=system.PIPE, stdout=system.PIPE, env={"PYTHONPATH": str(PROJECT)})
        self.report = Report()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            output, _ = self._process.communicate(timeout=60)
        finally:
            self._process.kill()
        self.report = Report(**json.loads(output))


class Patient:
    """Visitors on threads, each until it is told to end; what went wrong is in `complaints`."""

    def __init__(self, address: str, host: str) -> None:
        self._address, self._host = address, host
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.complaints: list[str] = []
        self.done: list[str] = []

    def send(self, *visits: Callable[[], None]) -> None:
        for visit in visits:
            thread = threading.Thread(target=self._run, args=(visit,))
            thread.start()
            self._threads.append(thread)

    def end(self) -> None:
        """Let each finish what it is at."""
        self._over.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, visit: Callable[[], None]) -> None:
        name = visit.__name__
        try:
            visit()
            self.done.append(name)
        except (OSError, AssertionError, http.client.HTTPException) as error:
            self.complaints.append(f"{name}: {error!r}")

    def _connect(self) -> socket.socket:
        return socket.create_connection((self._address, 80), timeout=30)

    def websocket(self) -> None:
        """One connection that is spoken on from the beginning to the end."""
        key = base64.b64encode(os.urandom(16)).decode()
        with self._connect() as web:
            web.sendall(
                f"GET /ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            assert b" 101 " in web.recv(4096)
            while not self._over.wait(0.1):
                web.sendall(b"hello")
                assert web.recv(100) == b"hello"

    def stream(self) -> None:
        """An answer that lasts as long as most of the changes."""
        with self._connect() as web:
            web.sendall(f"GET /stream?8 HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())
            assert _all(web).endswith(b"done\n\r\n0\r\n\r\n")

    def upload(self) -> None:
        """20 MB in 100 pieces over some seconds."""
        piece = bytes(200_000)
        with self._connect() as web:
            head = f"POST /upload HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n"
            web.sendall(f"{head}Content-Length: {100 * len(piece)}\r\n\r\n".encode())
            for _ in range(100):
                web.sendall(piece)
                time.sleep(0.06)
            said = _all(web)
            assert said.endswith(b"\r\n\r\n20000000"), said

    def slow(self) -> None:
        """A request of which each byte takes its time, again and again over one connection."""
        with self._connect() as web:
            while not self._over.is_set():
                for byte in f"GET / HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode():
                    web.sendall(bytes([byte]))
                    time.sleep(0.02)
                if b"connection: close" in (answer := web.recv(4096)).lower():
                    return
                assert b" 200 " in answer

    def secure(self) -> None:
        """Requests over TLS, on connections that are kept as long as they may be."""
        while not self._over.is_set():
            with tls.connect(self._address, "secure.example.com") as connection:
                web = http.client.HTTPConnection("secure.example.com")
                web.sock = connection
                while not self._over.wait(0.005):
                    web.request("GET", "/")
                    answer = web.getresponse()
                    assert answer.status == 200 and answer.read()
                    if answer.getheader("connection") == "close":
                        break


def _all(connection: socket.socket) -> bytes:
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


def accounts(lines: Sequence[str], report: Report) -> str:
    """What does not add up between what the app noted and what visitors know; '' when all does."""
    ids = [line for line in lines if "-" in line]
    missing, twice = set(report.posted) - set(ids), len(ids) - len(set(ids))
    unknown = set(ids) - set(report.posted) - set(report.unsure)
    late = lines.count("late")
    terms = [line for line in lines if line.startswith("term ") and line != "term 0"]
    wrong = {"not noted": len(missing), "noted twice": twice, "never sent": len(unknown), "after SIGTERM": late}
    found = [f"{count} {what}" for what, count in wrong.items() if count]
    return ", ".join(found + [f"told to stop with work: {terms}"] * bool(terms))
