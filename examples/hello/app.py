"""The smallest app: says hello on $PORT. Change MESSAGE, commit, push."""

import os
import signal
import socket
import threading
import time

MESSAGE = "Hello from paas"


def answer(client):
    """Requests on one connection, one after the other, until the client closes it."""
    with client, client.makefile("rb") as stream:
        while line := stream.readline():
            length, close = 0, False
            while (header := stream.readline().strip().lower()) != b"":
                name, _, value = header.partition(b":")
                if name == b"content-length":
                    length = int(value)
                close = close or (name == b"connection" and value.strip() == b"close")
            stream.read(length)
            if line.split()[1:2] == [b"/slow"]:
                time.sleep(5)
            body = f"{MESSAGE}\n".encode()
            client.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            if close:
                return


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
server = socket.create_server(("", int(os.environ["PORT"])), backlog=512)
while True:
    connection, _ = server.accept()
    threading.Thread(target=answer, args=(connection,), daemon=True).start()
