"""A connection's own thread, and the one that waits for its channels."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import paramiko
import pytest

from paas.ssh.transport import Transport, Wire


class Nonces:
    """As much of the engine as a greeting takes."""

    host_keys: tuple[str, ...] = ()

    def nonce(self) -> str:
        return "0" * 32


@pytest.fixture
def begun() -> Iterator[tuple[Transport, socket.socket]]:
    """A server's end, begun, and the client's."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        transport = Transport(Wire(fileno=accepted.detach()), Nonces(), 60)  # type: ignore[arg-type]
        transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())
        yield transport, client
        transport.close()


def waiting(transport: Transport) -> threading.Thread:
    thread = threading.Thread(target=transport.next_channel, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("end", ["before", "while", "from within"])
def test_the_end_of_a_connection_is_not_slept_through(begun: tuple[Transport, socket.socket], end: str) -> None:
    """Whoever waits for channels learns of it, whenever it comes: his place is free for somebody else at once."""
    transport, client = begun
    waiter = waiting(transport) if end != "before" else None
    if end == "from within":
        transport.stop_thread()
    else:
        client.close()
    transport.join(10)
    (waiter or waiting(transport)).join(10)
    assert not transport.is_alive()
    assert waiter is None or not waiter.is_alive()
    late = waiting(transport)
    late.join(10)
    assert not late.is_alive()
