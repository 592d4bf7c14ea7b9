"""A web server for tests that remembers what it was asked. Runs in a container, by itself: only the standard library.

    GET /            the word in $RELEASE
    POST /           the body, an id, becomes a line in $RECORD; answered once it is there
    GET /stream?N    a chunk with its number each tenth of a second, for N seconds, then `done`
    GET /data?N      N bytes, the same each time
    POST /upload?ID  the number and the SHA-256 of the bytes that came, which it reads as they come; ID is noted then
    ... /gone?ID     ID is noted and the connection closed without an answer
    ... /mute?ID     ID is noted, and no answer given
    GET /ws          a WebSocket that repeats what it gets

On SIGTERM it notes `term N` in $RECORD, N being the requests in work; then it serves on for as long as $LINGER says,
and notes every request that still comes as `late`.
"""

import base64
import hashlib
import os
import select
import signal
import socket
import threading
import time

RECORD = os.open(os.environ.get("RECORD", "/dev/null"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
RELEASE = os.environ.get("RELEASE", "-").encode()
LINGER = float(os.environ.get("LINGER", "0.3"))
working = 0
told = threading.Event()


def note(line: str) -> None:
    os.write(RECORD, line.encode() + b"\n")


def stop(number: int, frame: object) -> None:
    if not told.is_set():
        told.set()
        note(f"term {working}")
        threading.Timer(LINGER, os._exit, (0,)).start()


def answer(text: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


def serve_slow(client: socket.socket, path: str, head: bytes, body: bytes) -> None:
    """The requests that take their time, each on a thread; the connection is closed after it."""
    global working
    client.setblocking(True)
    try:
        path, _, given = path.partition("?")
        if path == "/stream":
            client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            begun = time.monotonic()
            for number in range(int(given) * 10):
                time.sleep(max(0.0, begun + number / 10 - time.monotonic()))
                client.sendall(b"7\r\n%06d\n\r\n" % number)
            client.sendall(b"5\r\ndone\n\r\n0\r\n\r\n")
        elif path == "/data":
            block = bytes(range(256)) * 4
            length = int(given)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
            for begin in range(0, length, len(block)):
                client.sendall(block[: length - begin])
        elif path == "/upload":
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            got, digest = len(body), hashlib.sha256(body)
            while got < length and (piece := client.recv(1 << 18)):
                got += len(piece)
                digest.update(piece)
            if given and got == length:
                note(given)
            client.sendall(answer(b"%d %s" % (got, digest.hexdigest().encode())))
        elif path in ("/gone", "/mute"):
            note(given)
            if path == "/mute":
                client.recv(1)
        else:
            key = head.lower().find(b"sec-websocket-key:")
            word = head[key:].split(b":", 1)[1].split(b"\r\n")[0].strip()
            accept = base64.b64encode(hashlib.sha1(word + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            client.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            while data := client.recv(65536):
                client.sendall(data)
    except OSError:
        pass
    finally:
        working -= 1
        client.close()


def main() -> None:
    global working
    signal.signal(signal.SIGTERM, stop)
    listener = socket.create_server(("", int(os.environ["PORT"])), backlog=4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    pending: dict[int, bytes] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                for _ in range(64):
                    try:
                        client, _ = listener.accept()
                    except BlockingIOError:
                        break
                    client.setblocking(False)
                    clients[client.fileno()] = client
                    poll.register(client, select.EPOLLIN)
                continue
            client = clients[number]
            try:
                data = client.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                poll.unregister(number)
                del clients[number]
                pending.pop(number, None)
                client.close()
                continue
            data = pending.pop(number, b"") + data
            head, found, body = data.partition(b"\r\n\r\n")
            if not found:
                pending[number] = data
                continue
            method, path = head.split(b" ", 2)[:2]
            if told.is_set():
                note("late")
            if path != b"/":
                poll.unregister(number)
                del clients[number]
                working += 1
                threading.Thread(target=serve_slow, args=(client, path.decode(), head, body), daemon=True).start()
                continue
            if method == b"POST":
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                if len(body) < length:
                    pending[number] = data
                    continue
                note(body.decode())
            try:
                client.send(answer(RELEASE))
            except OSError:
                pass  # its end shows when it is read from


if __name__ == "__main__":
    main()
