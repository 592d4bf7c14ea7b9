"""Who visits an app while it changes: those in a hurry (tests.harness.load), and the patient ones here."""

from __future__ import annotations

import base64
import hashlib
import http.client
import itertools
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from paas.paths import PROJECT
from paas.system import run as system
from tests.harness import tls
from tests.harness.load import Report
from tests.traffic.ledger import Account

Visit = Callable[[Account], None]


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
    """Visitors on threads, each until it is told to end. A visit is a method that raises when anything is amiss."""

    def __init__(self, address: str, host: str, secure: str) -> None:
        """`secure` is a hostname that the app has a certificate for."""
        self._address, self._host, self._secure = address, host, secure
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._ids = (f"{time.time_ns():x}-{number}" for number in itertools.count())
        self.accounts: dict[str, Account] = {}
        """By kind of visit."""

    def send(self, kind: str, visit: Visit, *, again: bool = False, after: float = 0.0) -> None:
        """Let somebody come, `after` so many seconds; with `again` once more whenever a visit is over."""
        account = self.accounts.setdefault(kind, Account())
        thread = threading.Thread(target=self._run, args=(account, visit, again, after))
        thread.start()
        self._threads.append(thread)

    def end(self, patience: float = 60.0) -> None:
        """Let each finish what it is at."""
        self._over.set()
        for thread in self._threads:
            thread.join(patience)
            assert not thread.is_alive()

    @property
    def complaints(self) -> list[str]:
        return [f"{kind}: {why}" for kind, account in self.accounts.items() for _, why in account.losses]

    def _run(self, account: Account, visit: Visit, again: bool, after: float) -> None:
        going_on = not self._over.wait(after)
        while going_on:
            try:
                visit(account)
            except (OSError, AssertionError, http.client.HTTPException) as error:
                account.lose(repr(error)[:120])
            going_on = again and not self._over.wait(0.05)

    def _connect(self, window: int = 0) -> socket.socket:
        """`window`: bytes that the kernel takes ahead of who reads."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(60)
        if window:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        try:
            connection.connect((self._address, 80))
        except BaseException:
            connection.close()
            raise
        return connection

    def _new_id(self, account: Account) -> str:
        """Of what the app is to note; not known to be there until it is acknowledged."""
        id = next(self._ids)
        account.unsure.append(id)
        return id

    def websocket(self, account: Account) -> None:
        """One connection that is spoken on until all is over."""
        key = base64.b64encode(os.urandom(16)).decode()
        with self._connect() as web:
            web.sendall(
                f"GET /ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            assert b" 101 " in web.recv(4096)
            number = 0
            while not self._over.wait(0.1):
                said, got = b"%08d" % number, b""
                web.sendall(said)
                while len(got) < len(said):
                    piece = web.recv(len(said) - len(got))
                    assert piece, "the WebSocket was closed"
                    got += piece
                assert got == said
                number += 1
                account.done += 1

    def stream(self, account: Account, seconds: int) -> None:
        """An answer that takes its time, a chunk each tenth of a second."""
        with self._connect() as web:
            web.sendall(f"GET /stream?{seconds} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())
            got = _answer(web)
        wanted = b"".join(b"%06d\n" % number for number in range(seconds * 10)) + b"done\n"
        assert got == wanted, f"{len(got)} bytes of {len(wanted)}"
        account.done += 1

    def upload(self, account: Account, megabytes: int, seconds: float) -> None:
        """A request with a body of so many megabytes, spread over so many seconds."""
        id, digest, block = self._new_id(account), hashlib.sha256(), os.urandom(1 << 20)
        begun = time.monotonic()
        with self._connect() as web:
            head = f"POST /upload?{id} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n"
            web.sendall(f"{head}Content-Length: {megabytes << 20}\r\n\r\n".encode())
            for number in range(megabytes):
                piece = number.to_bytes(8, "big") + block[8:]
                digest.update(piece)
                assert not _speaks(web), f"answered after {number} megabytes: {web.recv(30)!r}"
                web.sendall(piece)
                time.sleep(max(0.0, begun + seconds * (number + 1) / megabytes - time.monotonic()))
            got = _answer(web)
        assert got == f"{megabytes << 20} {digest.hexdigest()}".encode(), got[:100]
        account.acknowledge(id)

    def slow_head(self, account: Account) -> None:
        """Requests whose heads come byte for byte, on a connection that is kept as long as it may be."""
        with self._connect() as web:
            closing = False
            while not closing and not self._over.is_set():
                _dribble(web, f"GET / HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode(), 0.02)
                closing = _is_last(web)
                account.done += 1

    def slow_body(self, account: Account) -> None:
        """The same with a head that comes at once, and a body that does not."""
        with self._connect() as web:
            closing = False
            while not closing and not self._over.is_set():
                id = self._new_id(account)
                web.sendall(f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(id)}\r\n\r\n".encode())
                _dribble(web, id.encode(), 0.1)
                closing = _is_last(web)
                account.acknowledge(id)

    def slow_reader(self, account: Account, size: int) -> None:
        """An answer that is taken a few kilobytes at a time."""
        with self._connect(window=16384) as web:
            web.sendall(f"GET /data?{size} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())
            got = _answer(web, pause=0.01)
        assert got == (bytes(range(256)) * (size // 256 + 1))[:size], f"{len(got)} bytes of {size}, or others"
        account.done += 1

    def secure(self, account: Account, method: str) -> None:
        """Requests over TLS, on a connection that is kept as long as it may be."""
        with tls.connect(self._address, self._secure) as connection:
            web = http.client.HTTPConnection(self._secure)
            web.sock = connection
            while not self._over.wait(0.005):
                id = self._new_id(account) if method == "POST" else ""
                web.request(method, "/", id or None)
                answer = web.getresponse()
                assert answer.read() and answer.status == 200, f"status {answer.status}"
                if id:
                    account.acknowledge(id)
                else:
                    account.done += 1
                if answer.getheader("connection") == "close":
                    return

    def http2(self, account: Account, requests: int, rate: int) -> None:
        """So many by HTTP/2 and TLS, so many each second, GET and POST in turn, from curl, which keeps its
        connection."""
        ids = [self._new_id(account) if number % 2 else "" for number in range(requests)]
        ask = (
            f'url = "https://{self._secure}/"\nresolve = "{self._secure}:443:{self._address}"\n'
            'http2\ninsecure\nsilent\nmax-time = 60\noutput = "/dev/null"\n'
            'write-out = "%{stderr}%{http_code} %{http_version} %{errormsg}\\n"\n'
        )
        asks = "next\n".join(ask + (f'data = "{id}"\n' if id else "") for id in ids)
        with system.start(
            ["curl", "--rate", f"{rate}/s", "--config", "-"], stdin=system.PIPE, stderr=system.PIPE
        ) as curl:
            assert curl.stdin and curl.stderr
            with curl.stdin as stdin:
                stdin.write(asks.encode())
            for id in ids:
                line = curl.stderr.readline().decode().strip()
                if not line.startswith("200 2"):
                    account.lose(line or "no answer")
                elif id:
                    account.acknowledge(id)
                else:
                    account.done += 1


def _dribble(connection: socket.socket, data: bytes, pause: float) -> None:
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(pause)


def _speaks(connection: socket.socket) -> bool:
    """Whether the server has said something, or has closed the connection."""
    return bool(select.select([connection], [], [], 0)[0])


def _is_last(connection: socket.socket) -> bool:
    """Read the head and the few bytes of a good answer; whether the connection closes with it."""
    got = b""
    while b"\r\n\r\n" not in got or got.endswith(b"\r\n\r\n"):
        piece = connection.recv(4096)
        assert piece, f"closed after {got!r}"
        got += piece
    assert b" 200 " in got.partition(b"\r\n")[0], got[:100]
    return b"connection: close" in got.lower()


def _answer(connection: socket.socket, pause: float = 0.0) -> bytes:
    """The body of a good answer, however it is sent. Raises http.client.IncompleteRead when it is not whole."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert answer.status == 200, f"status {answer.status}"
    if not pause:
        return answer.read()
    found = []
    while piece := answer.read(4096):
        found.append(piece)
        time.sleep(pause)
    return b"".join(found)
