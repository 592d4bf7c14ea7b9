"""One look at one instance: whether a check of app.json is good right now."""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import time
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import cast
from urllib.parse import urlsplit

from paas.declared import Check
from paas.errors import PaasError
from paas.model import Instance
from paas.names import shown
from paas.runtime.probe import listening_ports
from paas.runtime.runtime import Runtime

_BODY_LIMIT = 1 << 20
_OUTPUT_LIMIT = 400
_REDIRECTS = 5


class Asker:
    """`ask` answers '' for good, else why not. It never takes much longer than the check's timeout. Thread-safe."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def ask(self, check: Check, instance: Instance, host: str, up: float) -> str:
        """`host` is what the app is called under; `up` the seconds since the instance began."""
        port = check.port or instance.port
        timeout = check.timeout or 0.1
        if self._runtime.pid(instance.id) is None:
            return "it has ended"
        if check.uptime:
            return "" if up >= check.uptime else f"up for {up:.0f} of {check.uptime:g} seconds"
        if check.command:
            return self.command(instance.id, check.command, timeout)
        if port is None:
            return "it has no port: name one in the check"
        if check.listening:
            return "" if port in listening_ports(self._runtime.pid(instance.id)) else f"nothing listens on port {port}"
        return get(instance.address, port, check, host, timeout)

    def command(self, id: str, command: Sequence[str], timeout: float) -> str:
        """Run a command in a container; '' when its status is 0."""
        output, nothing = os.memfd_create("check", os.MFD_CLOEXEC), os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self._runtime.exec(id, command, terminal=False, stdio=(nothing, output, output), env={}) as session:
                status = session.wait(timeout)
            if status == 0:
                return ""
            lines = os.pread(output, _OUTPUT_LIMIT, 0).decode("utf-8", "replace").strip().splitlines()
            said = f": {shown(lines[-1], 120)}" if lines else ""
            return (f"no end after {timeout:g} seconds" if status is None else f"ended with status {status}") + said
        except (PaasError, OSError) as error:
            return f"could not be run: {error}"
        finally:
            os.close(output)
            os.close(nothing)


def get(address: IPv4Address, port: int, check: Check, host: str, timeout: float) -> str:
    """Ask for a check's path: '' for good, else why not.

    Redirects are followed as long as they stay with the app; whatever it answers, nothing else is asked.
    """
    deadline = time.monotonic() + timeout
    path = check.path
    for _ in range(_REDIRECTS + 1):
        try:
            with socket.create_connection((str(address), port), timeout=timeout) as connection:
                answer = _Answer(connection, check.scheme == "https", deadline)
                status, location, body = answer.get(path, host, check.headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return _reason(error, timeout)
        if 200 <= status <= 299:
            missing = check.content and check.content.encode() not in body
            return f"the answer lacks {shown(check.content)}" if missing else ""
        target = urlsplit(location) if status in (301, 302, 303, 307, 308) else None
        if target is None or target.netloc not in ("", host) or not target.path.startswith("/"):
            return f"answered {status}"
        path = target.path + (f"?{target.query}" if target.query else "")
    return f"redirected more than {_REDIRECTS} times"


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer after {timeout:g} seconds"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it hung up"
    return f"no answer: {type(error).__name__}"


class _Answer(io.RawIOBase):
    """An HTTP exchange that ends at its deadline, however slowly the other side drips."""

    def __init__(self, connection: socket.socket, tls: bool, deadline: float) -> None:
        self._deadline = deadline
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is asked by its address
            connection = context.wrap_socket(connection)
        self._connection = connection

    def get(self, path: str, host: str, headers: Sequence[tuple[str, str]]) -> tuple[int, str, bytes]:
        """(status, Location, the beginning of the body)."""
        given = {name.lower() for name, _ in headers}
        defaults = [("Host", host), ("User-Agent", "paas-healthcheck"), ("Accept", "*/*"), ("Connection", "close")]
        lines = [f"GET {path} HTTP/1.1", *(f"{n}: {v}" for n, v in defaults if n.lower() not in given)]
        lines += [f"{name}: {value}" for name, value in headers]
        self._connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        response = http.client.HTTPResponse(cast(socket.socket, self), method="GET")
        response.begin()
        body = b"" if response.status > 299 else response.read(_BODY_LIMIT)
        return response.status, response.getheader("Location") or "", body

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        self._connection.close()
        super().close()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
