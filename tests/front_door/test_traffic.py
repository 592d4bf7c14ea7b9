"""What visitors notice of deploys, crashes and changes of nginx: nothing."""

from __future__ import annotations

import socket
import threading

from tests.harness.apps import httpd
from tests.harness.waiting import wait_until
from tests.machine import Machine

_ECHO = r"""
import base64, hashlib, os, socket, threading
def serve(client):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = client.recv(4096)
        if not piece:
            return
        head += piece
    lines = dict(l.split(": ", 1) for l in head.decode().split("\r\n")[1:] if ": " in l)
    if lines.get("Upgrade", "").lower() != "websocket":
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nplain\n")
        return client.close()
    key = lines["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    answer = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    answer += [f"Sec-WebSocket-Accept: {accept}", "", ""]
    client.sendall("\r\n".join(answer).encode())
    while data := client.recv(4096):
        client.sendall(data)
server = socket.create_server(("", int(os.environ["PORT"])))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
_PYTHON = (
    "FROM debian:bookworm\n"
    "RUN apt-get update && apt-get install -y --no-install-recommends python3-minimal libpython3-stdlib\n"
    "COPY echo.py /\n"
    'CMD ["python3", "/echo.py"]\n'
)


def test_a_websocket_lives_through_a_deploy(machine: Machine) -> None:
    client = machine.client("sockets")
    client.repository("sockets", {"Dockerfile": _PYTHON, "echo.py": _ECHO}).push("sockets", timeout=300)
    host = client.ssh("urls", "sockets").text.strip().removeprefix("http://")
    with socket.create_connection((machine.address, 80), timeout=10) as web:
        web.sendall(
            f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert b" 101 " in web.recv(4096)
        for change in ("A=1", "A=2"):
            web.sendall(b"before")
            assert web.recv(100) == b"before"
            client.ssh("config:set", "sockets", change)
            client.ssh("domains:add", "sockets", f"{change[-1]}.sockets.example.com")
        web.sendall(b"after")
        assert web.recv(100) == b"after"
    machine.paas("apps:destroy", "sockets", "--force")


def test_no_request_is_lost(machine: Machine) -> None:
    client = machine.client("busy")
    repository = client.repository("busy", httpd("0"))
    repository.push("busy")
    end, lost, answered = threading.Event(), list[str](), list[str]()

    def ask() -> None:
        while not end.is_set():
            try:
                answered.append(machine.get("busy").text)
            except OSError as error:
                lost.append(repr(error))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    for number in range(1, 4):
        repository.commit({"index.html": f"{number}\n"})
        repository.push("busy")
        client.ssh("domains:add", "busy", f"x{number}.busy.example.com")
        client.ssh("ps:scale", "busy", f"web={1 + number % 2}")
    end.set()
    for thread in asking:
        thread.join()
    assert not lost
    assert set(answered) <= {"0\n", "1\n", "2\n", "3\n"}, "never an error page"
    assert machine.get("busy").text == "3\n"
    machine.paas("apps:destroy", "busy", "--force")


def test_a_process_that_ends_is_started_again_and_the_report_says_why(machine: Machine) -> None:
    client = machine.client("crash")
    client.repository("crash", httpd("here")).push("crash")
    client.ssh("enter", "crash", "web", "sh", "-c", "kill -9 2 3 4 5 6 7 8 2>/dev/null; true", check=False)
    wait_until(lambda: "restarted 1 times" in client.ssh("ps:report", "crash").text, "it is noticed")
    wait_until(lambda: machine.get("crash").status == 200, "it answers again")
    assert "killed by signal 9" in client.ssh("ps:report", "crash").text
    machine.paas("apps:destroy", "crash", "--force")
