"""HTTPS requests to a hostname at an address, with the certificate checked."""

from __future__ import annotations

import http.client
import socket
import ssl

from tests.harness.web import Response


def connect(address: str, hostname: str, authority: str | None = None, *, port: int = 443) -> ssl.SSLSocket:
    """A connection on which the server has proved to be `hostname` (PEM `authority`; None: nothing is checked).

    Raises ssl.SSLError.
    """
    context = ssl.create_default_context(cadata=authority)
    if authority is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    connection = socket.create_connection((address, port), timeout=10)
    try:
        return context.wrap_socket(connection, server_hostname=hostname)
    except BaseException:
        connection.close()
        raise


def get(
    address: str, hostname: str, path: str = "/", authority: str | None = None, *, body: bytes | None = None
) -> Response:
    """One request on a connection of its own."""
    with connect(address, hostname, authority) as secure:
        connection = http.client.HTTPConnection(hostname)
        connection.sock = secure
        connection.request("GET" if body is None else "POST", path, body, {"Connection": "close"})
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
