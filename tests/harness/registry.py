"""Debian's docker-registry on loopback, as it is and with faults between."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from paas.system import run as system
from tests.harness.waiting import wait_until

USER, PASSWORD = "robot", "s3cret-passw0rd"


@dataclass(frozen=True, slots=True)
class Registry:
    """`host` is HOST:PORT, as references name it; `ca` a certificate to trust, where there is TLS."""

    host: str
    port: int
    ca: Path | None = None

    def request(self, method: str, path: str) -> tuple[int, bytes]:
        """Ask it something, without TLS."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(f"{method} {path} HTTP/1.0\r\nHost: {self.host}\r\n\r\n".encode())
            data = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


@contextmanager
def serve(directory: Path, *, secure: bool = False) -> Iterator[Registry]:
    """A registry of its own, empty; `secure` has TLS with an authority of its own, and wants USER and PASSWORD."""
    directory.mkdir(parents=True)
    port = free_port()
    config = directory / "config.yml"
    config.write_text(config_of(directory, port, tls=_tls(directory) if secure else "", login=secure))
    with (directory / "log").open("wb") as log:
        process = system.start(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        wait_until(lambda: _listens(port), "the registry listens")
        yield Registry(f"127.0.0.1:{port}", port, directory / "ca.crt" if secure else None)
    finally:
        process.kill()
        process.wait(10)


def config_of(directory: Path, port: int, *, tls: str = "", login: bool = False) -> str:
    """The configuration of a registry on loopback that keeps everything in a directory."""
    lines = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{filesystem: {{rootdirectory: {directory}/data}}, delete: {{enabled: true}}}}",
        f"http: {{addr: '127.0.0.1:{port}', secret: x{tls}}}",
    ]
    if login:
        (directory / "htpasswd").write_text(system.run(["htpasswd", "-Bbn", USER, PASSWORD]).text)
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}")
    return "\n".join(lines) + "\n"


def _tls(directory: Path) -> str:
    """A certificate for 127.0.0.1 that an authority of its own has signed."""
    openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    system.run(
        [*openssl, "-days", "2", "-subj", "/CN=An authority", "-keyout", "ca.key", "-out", "ca.crt"], cwd=directory
    )
    names = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    extra = ["-addext", "basicConstraints=critical,CA:FALSE"]
    files = ["-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", "key.pem", "-out", "cert.pem"]
    system.run([*openssl, "-days", "2", *names, *extra, *files], cwd=directory)
    return f", tls: {{certificate: {directory}/cert.pem, key: {directory}/key.pem}}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""
Fault = Callable[[str, str, dict[str, str]], "Answer | int | None"]
"""`fault(method, path, headers)`: an answer to give in place of the registry's, the number of body bytes after which
its answer is cut, or None to pass everything on."""


class Proxy:
    """Between a client and a registry without TLS. `requests` are those that came: (method, path, headers)."""

    def __init__(self, upstream: int, fault: Fault = lambda method, path, headers: None) -> None:
        self.fault = fault
        self.pause = 0.0
        """Seconds before each piece of an answer."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self._upstream = upstream
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def paths(self, method: str, part: str) -> list[str]:
        """Of the requests with this method, those whose path has this part."""
        return [path for each, path, _ in self.requests if each == method and part in path]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        """One request for each connection, which is closed after it."""
        with connection, suppress(OSError, ValueError, IndexError):
            data = b""
            while b"\r\n\r\n" not in data:
                piece = connection.recv(65536)
                if not piece or piece[:1] == b"\x16":  # a TLS client: there is none here
                    connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    return
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            method, path, _ = first.split()
            headers = {key.title(): value for key, value in (line.split(": ", 1) for line in lines)}
            self.requests.append((method, path, headers))
            fault = self.fault(method, path, headers)
            if isinstance(fault, tuple):
                _answer(connection, *fault)
                return
            self._pass_on(connection, first, headers, body, fault)

    def _pass_on(
        self, connection: socket.socket, first: str, headers: dict[str, str], body: bytes, cut: int | None
    ) -> None:
        with socket.create_connection(("127.0.0.1", self._upstream), 10) as upstream:
            sent = {**headers, "Connection": "close"}
            upstream.sendall((first + "\r\n" + "".join(f"{k}: {v}\r\n" for k, v in sent.items()) + "\r\n").encode())
            upstream.sendall(body)
            left = int(headers.get("Content-Length", "0")) - len(body)
            while left > 0:
                piece = connection.recv(min(left, 65536))
                if not piece:
                    return
                upstream.sendall(piece)
                left -= len(piece)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += upstream.recv(65536)
            head, _, start = answer.partition(b"\r\n\r\n")
            connection.sendall(head + b"\r\n\r\n")
            passed = 0
            piece = start
            while True:
                time.sleep(self.pause)
                if cut is not None and passed + len(piece) > cut:
                    connection.sendall(piece[: cut - passed])
                    return
                connection.sendall(piece)
                passed += len(piece)
                if not (piece := upstream.recv(65536)):
                    return


def _answer(connection: socket.socket, status: int, headers: dict[str, str], body: bytes) -> None:
    all_headers = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    text = f"HTTP/1.1 {status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in all_headers.items()) + "\r\n"
    connection.sendall(text.encode() + body)
