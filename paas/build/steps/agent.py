"""SSH agents for RUN --mount=type=ssh.

An agent talks to its own user only, and a container's users are others. So a step gets a socket of ours, and what is
said there is passed on; keys never leave the agent.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

_BLOCK = 65536


@contextlib.contextmanager
def relayed(agents: Mapping[str, Path]) -> Iterator[dict[str, Path]]:
    """Path in the container -> socket on the host, open while the block runs. `agents` are the agents' own sockets."""
    if not agents:
        yield {}
        return
    directory = Path(tempfile.mkdtemp(prefix="paas-agent-"))
    directory.chmod(0o711)
    listeners = []
    try:
        found = {}
        for number, (target, agent) in enumerate(agents.items()):
            place = directory / str(number)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listeners.append(listener)
            listener.bind(str(place))
            place.chmod(0o666)  # the directory is the step's alone
            listener.listen(16)
            threading.Thread(target=_serve, args=(listener, agent), name="ssh agent", daemon=True).start()
            found[target] = place
        yield found
    finally:
        for listener in listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        shutil.rmtree(directory, ignore_errors=True)


def _serve(listener: socket.socket, agent: Path) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(client, agent), name="ssh agent", daemon=True).start()


def _relay(client: socket.socket, agent: Path) -> None:
    with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server, contextlib.suppress(OSError):
        server.connect(os.fspath(agent))
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select():
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(_BLOCK)
                    if not data:
                        return
                    key.data.sendall(data)
