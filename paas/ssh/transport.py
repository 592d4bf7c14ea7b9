"""paramiko's transport with bounds on what a client may send: bytes, packets, key exchanges, windows.

paramiko as a server trusts its clients with all of these; see the comments for what each would cost otherwise.
"""

from __future__ import annotations

import collections
import socket
import time
from collections.abc import Mapping
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_REQUEST, MSG_NEWKEYS
from paramiko.kex_curve25519 import KexCurve25519
from paramiko.packet import Packetizer

from paas.ssh.doorchannel import DoorChannel
from paas.ssh.proving import HostKey, Proving, keeping_what_it_hashes

_VERSION = "SSH-2.0-paas"
"""A nonce of the engine's follows, as a comment."""
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_KEX = (
    "mlkem768x25519-sha256",
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
"""None over plain Diffie-Hellman groups: a client can ask for those at no cost, and Python's pow() takes 50 ms."""
_BEFORE_LOGIN = 256 << 10
"""Bytes that a client may send before it has proved a key: some 2 KiB of negotiation, and its keys."""
_PACKET = 256 << 10
"""Bytes of the longest packet, as OpenSSH has it. Its length is believed before anything of it can be checked."""
_EXCHANGES, _EXCHANGES_WITHIN = 20, 10.0
"""Key exchanges in so many seconds: each takes some ms, and 512 MiB of data are between two of an honest client."""


class Wire(socket.socket):
    """The TCP connection of a client, which sends no more than it may before it has proved a key.

    It acknowledges at once: OpenSSH sends short messages that get no answer and, by Nagle's algorithm, waits with the
    next for our acknowledgement, which the kernel would hold back for 40 ms.
    """

    allowance: int | None = _BEFORE_LOGIN
    """Bytes that may still come; None for any."""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        data = super().recv(size, flags)
        if self.allowance is not None:
            self.allowance -= len(data)
            if self.allowance < 0:
                raise paramiko.SSHException("more than a login takes was sent")
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # the kernel forgets it with the next packet sent
        return data


class _Packets(Packetizer):
    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._exchanges: collections.deque[float] = collections.deque(maxlen=_EXCHANGES)

    def start_handshake(self, timeout: float) -> None:
        """The door itself keeps the time. paramiko's timer is a thread that outlives the connection, and it stops with
        the client's first packet."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > _PACKET:
            raise paramiko.SSHException(f"a packet of {n} bytes")
        return super().read_all(n, check_rekey)

    def set_inbound_cipher(self, *arguments: Any, **options: Any) -> None:
        now = time.monotonic()
        if len(self._exchanges) == _EXCHANGES and now - self._exchanges[0] < _EXCHANGES_WITHIN:
            raise paramiko.SSHException("keys are exchanged again and again")
        self._exchanges.append(now)
        super().set_inbound_cipher(*arguments, **options)


def _feed(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Data for a channel. What nobody has read yet may not exceed the window that the client was given."""
    data = message.get_binary()
    assert channel.transport is not None
    if len(channel.in_buffer) + len(data) > channel.transport.default_window_size:
        raise paramiko.SSHException("more than the window was sent")
    channel.in_buffer.feed(data)


def _ignore(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """Data for a second stream. Clients have none, and nobody here would ever read it."""


def _request(channel: paramiko.Channel, message: paramiko.Message) -> None:
    """A request on a channel. Whoever carries it out is told once it has been answered."""
    assert channel.transport is not None
    channel._handle_request(message)  # type: ignore[attr-defined]
    channel.transport.server_object.answered(channel)  # type: ignore[union-attr]


class Transport(paramiko.Transport):
    _kex_info: Mapping[str, Any] = {
        name: keeping_what_it_hashes(kex)
        for name, kex in {
            **paramiko.Transport._kex_info,  # type: ignore[attr-defined]
            "curve25519-sha256": KexCurve25519,  # the same as @libssh.org's, under the name it has in RFC 8731
        }.items()
        if name in _KEX
    }
    _channel_handler_table: Mapping[int, Any] = {
        **paramiko.Transport._channel_handler_table,  # type: ignore[attr-defined]
        MSG_CHANNEL_DATA: _feed,
        MSG_CHANNEL_EXTENDED_DATA: _ignore,
        MSG_CHANNEL_REQUEST: _request,
    }

    def __init__(self, wire: Wire, engine: DoorChannel, dead_after: int) -> None:
        """`dead_after`: seconds after which the connection is lost if nothing of what was sent is acknowledged. Raises
        SystemFailure when the engine is gone."""
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, dead_after * 1000)
        super().__init__(wire, packetizer_class=_Packets)
        self._wire = wire
        self.local_version = f"{_VERSION} {engine.nonce()}"
        options = self.get_security_options()
        options.ciphers, options.digests = _CIPHERS, _MACS
        options.kex = tuple(name for name in _KEX if name in self._kex_info)
        self.exchange = ("", b"")
        """What the latest key exchange has hashed, and by which hash function."""
        for public in engine.host_keys:
            self.add_server_key(HostKey(public, self, engine))
        self._handler_table[MSG_NEWKEYS] = self._take_new_keys  # type: ignore[attr-defined]

    def _take_new_keys(self, message: paramiko.Message) -> None:
        if self.auth_handler is None:
            self.auth_handler = Proving(self)
        self._parse_newkeys(message)  # type: ignore[attr-defined]

    def run(self) -> None:
        try:
            super().run()
        finally:
            with self.server_accept_cv:
                self.server_accept_cv.notify_all()

    def next_channel(self) -> paramiko.Channel | None:
        """Wait for one that the client opens; None once the connection has ended. paramiko's own `accept` may sleep
        through the end, and with it somebody's place is taken for as long."""
        with self.server_accept_cv:
            self.server_accept_cv.wait_for(lambda: self.server_accepts or not self.active)  # type: ignore[attr-defined]
            return self.server_accepts.pop(0) if self.server_accepts else None

    def trust(self) -> None:
        """A key has been proved: the client may send as much as it likes."""
        self._wire.allowance = None

    def is_open(self, number: int) -> bool:
        """Whether a channel that was opened has not been closed by either side; for the connection's own thread."""
        channel = self._channels.get(number)  # type: ignore[attr-defined]
        return channel is not None and not channel.closed
