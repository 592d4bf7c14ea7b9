"""A small world of network namespaces: a host under test, a machine beyond it, and containers. No process, no pin."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

from paas.network.addresses import instance_address
from paas.network.network import Network
from paas.settings import Settings
from paas.system.run import run

HOST, HOST6 = "198.51.100.1", "fd77::1"
REMOTE, REMOTE6 = "198.51.100.2", "fd77::2"
METADATA = "169.254.169.254"
VIP = IPv4Address("10.87.0.1")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_T = TypeVar("_T")


class Namespace:
    """A network namespace that lives as long as its descriptor."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self.fd = _on_thread(_unshare)
        self._open.callback(os.close, self.fd)
        self.ip("link set lo up")

    @property
    def path(self) -> Path:
        return Path(f"/proc/{os.getpid()}/fd/{self.fd}")

    def run(self, job: Callable[[], _T]) -> _T:
        """Call `job` on a thread that is in the namespace. Sockets made there stay there."""

        def there() -> _T:
            _enter(self.fd)
            return job()

        return _on_thread(there)

    def ip(self, *commands: str) -> None:
        self.run(lambda: run(["ip", "-batch", "-"], input="\n".join(commands).encode()))

    def serve(self, name: str, port: int, address: str = "0.0.0.0") -> Server:
        """A TCP server that greets each connection with `name` and the peer's address, then echoes."""
        server = Server(self.run(lambda: _listen(address, port)), name)
        self._open.callback(server.close)
        return server

    def serve_datagrams(self, name: str, port: int, address: str = "0.0.0.0") -> None:
        """A UDP server that answers each datagram with `name`."""
        server = self.datagrams(port, address)

        def answer() -> None:
            with server:
                while True:
                    _, peer = server.recvfrom(100)
                    if peer is None:  # shut down
                        return
                    server.sendto(name.encode(), peer)

        threading.Thread(target=answer, daemon=True).start()
        self._open.callback(_quietly, lambda: server.shutdown(socket.SHUT_RDWR))

    def datagrams(self, port: int = 0, address: str = "0.0.0.0") -> socket.socket:
        """A UDP socket with this address."""
        return self.run(lambda: _bound(address, port))

    def connect(self, address: str, port: int, timeout: float = 1) -> socket.socket:
        """Connect within a second, or raise OSError."""
        return self.run(lambda: socket.create_connection((address, port), timeout=timeout))

    def ask(self, address: str, port: int) -> tuple[str, str]:
        """(name of the server that answers, address it saw us under)."""
        with self.connect(address, port) as connection:
            return greeting(connection)

    def ask_datagram(self, address: str, port: int) -> str:
        """Name of the UDP server that answers within half a second, or TimeoutError."""
        with self.run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
            client.settimeout(0.5)
            client.connect((address, port))
            client.send(b"?")
            return client.recv(100).decode()

    def close(self) -> None:
        self._open.close()


class Server:
    def __init__(self, listener: socket.socket, name: str) -> None:
        self._listener, self._name = listener, name
        self._peers: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                peer, (address, *_) = self._listener.accept()
                self._peers.append(peer)
                peer.sendall(f"{self._name} {address.removeprefix('::ffff:')}\n".encode())
            except OSError:
                return
            threading.Thread(target=_echo, args=(peer,), daemon=True).start()

    def close(self) -> None:
        _quietly(lambda: self._listener.shutdown(socket.SHUT_RDWR))
        self._listener.close()
        for peer in self._peers:
            _quietly(lambda peer=peer: peer.shutdown(socket.SHUT_RDWR))  # type: ignore[misc]
            peer.close()


def greeting(connection: socket.socket) -> tuple[str, str]:
    text = b""
    while not text.endswith(b"\n"):
        if not (more := connection.recv(100)):
            raise ConnectionResetError("closed before the greeting")
        text += more
    name, _, address = text.decode().strip().partition(" ")
    return name, address


def echoes(connection: socket.socket) -> bool:
    """Whether the other side is still there and answers."""
    connection.sendall(b"hello")
    return connection.recv(5) == b"hello"


@dataclass(frozen=True)
class World:
    settings: Settings
    network: Network
    host: Namespace
    remote: Namespace
    containers: tuple[Namespace, ...]

    def address(self, container: int) -> IPv4Address:
        return instance_address(self.settings, container + 1)


@contextmanager
def world(settings: Settings, containers: int = 2) -> Iterator[World]:
    """The host has a wire to the remote machine and links to containers; its network is set up, with an empty state."""
    with ExitStack() as undo:
        spaces = []
        for _ in range(containers + 2):
            spaces.append(Namespace())
            undo.callback(spaces[-1].close)
        host, remote, *inner = spaces
        _wire(host, remote)
        network = host.run(lambda: Network(settings))
        undo.callback(network.close)
        host.run(network.setup)
        made = World(settings, network, host, remote, tuple(inner))
        for number, container in enumerate(inner):
            network.connect(container.path, f"{settings.link_prefix}{number + 1}", made.address(number))
        yield made


def _wire(host: Namespace, remote: Namespace) -> None:
    host.ip(
        f"link add wan0 type veth peer name eth0 netns /proc/{os.getpid()}/fd/{remote.fd}",
        f"address add {HOST}/24 dev wan0",
        f"address add {HOST6}/64 dev wan0 nodad",
        "link set wan0 up",
    )
    remote.ip(
        f"address add {REMOTE}/24 dev eth0",
        f"address add {REMOTE6}/64 dev eth0 nodad",
        "link set eth0 up",
        f"address add {METADATA}/32 dev lo",
        f"route add 10.86.0.0/15 via {HOST}",  # a neighbour who tries to get at containers directly
    )
    host.ip(f"route add default via {REMOTE}")


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, dualstack_ipv6=family == socket.AF_INET6)


def _bound(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made


def _echo(peer: socket.socket) -> None:
    try:
        while data := peer.recv(1000):
            peer.sendall(data)
    except OSError:
        pass


def _quietly(job: Callable[[], object]) -> None:
    try:
        job()
    except OSError:
        pass


def _unshare() -> int:
    if _libc.unshare(_CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "unshare")
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")


def _on_thread(job: Callable[[], _T]) -> _T:
    future: Future[_T] = Future()

    def work() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # noqa: BLE001  raised by result()
            future.set_exception(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return future.result()
