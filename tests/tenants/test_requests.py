"""Visitors who try to reach one app by way of another, or to keep nginx from its other visitors."""

from __future__ import annotations

import io
import socket
import ssl
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness.apps import echo
from tests.harness.authority import Authority
from tests.harness.waiting import wait_until
from tests.tenants.conftest import OURS, VICTIM, VICTIM_HOST, Tenants

OUR_HOST = f"{OURS}.paas.test"
CHUNKED = "Transfer-Encoding: chunked\r\n"


def ask(tenants: Tenants, raw: str) -> str:
    """All that comes back for these bytes until nginx closes; '' when it does so without an answer."""
    with socket.create_connection((tenants.root.address, tenants.root.settings.http_port), timeout=20) as connection:
        connection.sendall(raw.encode("latin-1"))
        return _rest(connection)


def _rest(connection: socket.socket) -> str:
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found.decode("latin-1")


@pytest.fixture(autouse=True, scope="module")
def echoing(tenants: Tenants) -> None:
    assert tenants.push("echo", echo()).status == 0


@pytest.mark.parametrize(
    "head",
    [
        f"GET / HTTP/1.1\r\nHost: {OUR_HOST}\r\nHost: {VICTIM_HOST}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {OUR_HOST}, {VICTIM_HOST}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {VICTIM_HOST}/@{OUR_HOST}\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost : {OUR_HOST}\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\nContent-Length: +5\r\n\r\n12345",
        f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\n{CHUNKED}Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {OUR_HOST}\r\nX: a\0b\r\n\r\n",
        f"CONNECT {VICTIM_HOST}:80 HTTP/1.1\r\nHost: {VICTIM_HOST}:80\r\n\r\n",
        f"GET / HTTP/9.9\r\nHost: {OUR_HOST}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {OUR_HOST}\r\nX: {'a' * 70000}\r\n\r\n",
        f"GET /{'a' * 70000} HTTP/1.1\r\nHost: {OUR_HOST}\r\n\r\n",
    ],
)
def test_requests_that_can_be_read_in_two_ways(tenants: Tenants, head: str) -> None:
    answer = ask(tenants, head)
    assert answer == "" or answer.split()[1] in ("400", "405", "414", "501", "505"), answer[:300]


@pytest.mark.parametrize("host", ["unknown.example", "paas.test", "_", "", "localhost", "xn--vctim-zsa.example"])
def test_hosts_that_nobody_has_get_no_answer(tenants: Tenants, host: str) -> None:
    answer = ask(tenants, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert answer == "" or answer.split()[1] == "400", answer[:300]


@pytest.mark.parametrize("host", [VICTIM_HOST, VICTIM_HOST.upper(), f"{VICTIM_HOST}.", f"{VICTIM_HOST}:8080"])
def test_a_hostname_is_the_victim_s_however_it_is_written(tenants: Tenants, host: str) -> None:
    answer = ask(tenants, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    assert answer.endswith("victim\n"), answer[:300]


def test_an_address_in_the_request_decides_and_the_app_is_told_of_that_one(tenants: Tenants) -> None:
    close = "Connection: close\r\n\r\n"
    assert ask(tenants, f"GET http://{VICTIM_HOST}/ HTTP/1.1\r\nHost: {OUR_HOST}\r\n{close}").endswith("victim\n")
    ours = ask(tenants, f"GET http://{OUR_HOST}/ HTTP/1.1\r\nHost: {VICTIM_HOST}\r\n{close}")
    assert f"Host: {OUR_HOST}\n" in ours and VICTIM_HOST not in ours
    kept = ask(tenants, f"GET / HTTP/1.1\r\nHost: {OUR_HOST}:8080\r\n{close}")
    assert f"Host: {OUR_HOST}:8080\n" in kept


def test_what_visitors_say_of_themselves_is_not_believed(tenants: Tenants) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "666",
        "X-Forwarded-Ssl": "on",
        "X_Forwarded_For": "6.6.6.6",
        "X-Request-Id": "chosen",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lies.items())
    answer = ask(tenants, f"GET / HTTP/1.1\r\nHost: {OUR_HOST}\r\n{head}Connection: close\r\n\r\n")
    assert f"X-Forwarded-For: {tenants.root.host_address}\n" in answer
    for lie in ("6.6.6.6", "evil.example", "666\n", "Ssl: on", "chosen", "Proto: https"):
        assert lie not in answer, answer


def test_a_body_is_no_second_request(tenants: Tenants) -> None:
    inner = f"GET / HTTP/1.1\r\nHost: {VICTIM_HOST}\r\nConnection: close\r\n\r\n"
    outer = f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\nContent-Length: {len(inner)}\r\nConnection: close\r\n\r\n{inner}"
    answer = ask(tenants, outer)
    assert f"Body: {len(inner)}" in answer and "victim\n" not in answer


@pytest.fixture
def certified(tenants: Tenants) -> Iterator[None]:
    """mallory has a certificate that says it is the victim."""
    crt, key = Authority().issue(OUR_HOST, VICTIM_HOST, "*.paas.test")
    stream = _archive(crt, key)
    tenants.mallory.ssh("certs:add", OURS, input=stream)
    yield
    tenants.mallory.ssh("certs:remove", OURS)


def test_a_certificate_with_another_s_name_serves_none_of_it(tenants: Tenants, certified: None) -> None:
    for name, host in ((VICTIM_HOST, VICTIM_HOST), (f"{VICTIM}.paas.test", OUR_HOST)):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            _ask_tls(tenants, name, host)
    assert f"Host: {OUR_HOST}" in _ask_tls(tenants, OUR_HOST, OUR_HOST)
    crossed = _ask_tls(tenants, OUR_HOST, VICTIM_HOST)
    assert "victim" not in crossed and "200 OK" not in crossed, crossed


def _ask_tls(tenants: Tenants, name: str, host: str) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    address = (tenants.root.address, tenants.root.settings.https_port)
    with (
        socket.create_connection(address, timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as connection,
    ):
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return _rest(connection)


def _archive(crt: str, key: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in (("server.crt", crt), ("server.key", key)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_visitors_who_never_finish_do_not_keep_others_out(tenants: Tenants) -> None:
    address = (tenants.root.address, tenants.root.settings.http_port)
    with ExitStack() as slow:
        for number in range(500):
            connection = slow.enter_context(socket.create_connection(address, timeout=10))
            body = f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\nContent-Length: 100000\r\n\r\nx"
            connection.sendall((body if number % 2 else f"GET / HTTP/1.1\r\nHost: {OUR_HOST}\r\nX-").encode())
        for _ in range(5):
            assert tenants.root.get(VICTIM_HOST, timeout=5).text == "victim\n"
            assert tenants.root.get(OURS, timeout=5).status == 200


def test_limits_that_an_owner_sets(tenants: Tenants) -> None:
    address = (tenants.root.address, tenants.root.settings.http_port)
    tenants.mallory.ssh("nginx:set", OURS, "limit-conn-per-ip", "3")
    tenants.mallory.ssh("nginx:set", OURS, "client-max-body-size", "1k")
    try:
        assert ask(tenants, f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\nContent-Length: 2000\r\n\r\n").split()[1] == "413"
        with ExitStack() as slow:
            for _ in range(3):
                connection = slow.enter_context(socket.create_connection(address, timeout=10))
                connection.sendall(f"POST / HTTP/1.1\r\nHost: {OUR_HOST}\r\nContent-Length: 9\r\n\r\nx".encode())
            wait_until(lambda: tenants.root.get(OURS).status == 503, "a fourth request is one too many")
            page = tenants.root.get(OURS)
            assert page.headers["retry-after"] == "1" and "Too many requests" in page.text
            assert tenants.root.get(VICTIM_HOST).status == 200
        wait_until(lambda: tenants.root.get(OURS).status == 200, "there is room again")
        tenants.mallory.ssh("nginx:set", OURS, "limit-conn-per-ip")
        tenants.mallory.ssh("nginx:set", OURS, "limit-req", "1r/m")
        tenants.mallory.ssh("nginx:set", OURS, "limit-req-burst", "2")
        assert [tenants.root.get(OURS).status for _ in range(5)] == [200, 200, 200, 429, 429]
        page = tenants.root.get(OURS)
        assert page.headers["retry-after"] == "1" and "Too many requests" in page.text
        assert tenants.root.get(VICTIM_HOST).status == 200
    finally:
        for key in ("limit-conn-per-ip", "limit-req", "limit-req-burst", "client-max-body-size"):
            tenants.mallory.ssh("nginx:set", OURS, key)
