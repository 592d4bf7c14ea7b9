"""Flows of datagrams in the kernel's table of connections, which outlive whom they lead to.

A flow keeps the instance that its first datagram was led to for as long as more of them come. Left alone it would lead
on to an address that is gone, and in time to the stranger who gets it next. (A connection of TCP is of no use to the
stranger: its packets fit no socket there and are refused.)

The messages are those of linux/netfilter/nfnetlink_conntrack.h, made and read by hand: somebody may hold tens of
thousands of flows at once, and a library that takes each apart would be busy with these for seconds.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address

_NETLINK_NETFILTER = 12
_GET, _DELETE = 0x101, 0x102
"""Of the subsystem for connections, which is number 1."""
_REQUEST, _DUMP = 0x1, 0x300
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=LHHLL")
_FAMILY = struct.pack("=BBH", socket.AF_INET, 0, 0)
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x8000
_TUPLE_ORIG, _TUPLE_REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_FIRST = 1
"""In an address the source, in a protocol its number, in a filter what it asks of the original direction."""
_BY_PROTOCOL = 0x8
"""The kernel can choose by what a flow's first datagram says. By whom it was led to, some kernels choose wrongly."""
_BUFFER = 1 << 17
_BATCH = 500


def forget_datagrams(address: IPv4Address) -> int:
    """Forget the flows of UDP that this address began, or that lead to it; returns how many there were.

    The next datagram of each begins a flow anew, by the rules of then. For the network namespace of the calling thread.
    Raises OSError.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
        kernel.bind((0, 0))
        flows = _flows(kernel, address.packed)
        for first in range(0, len(flows), _BATCH):
            kernel.send(b"".join(_message(_DELETE, _REQUEST, flow) for flow in flows[first : first + _BATCH]))
            _errors(kernel)
    return len(flows)


def _flows(kernel: socket.socket, source: bytes) -> list[bytes]:
    """What names each flow of UDP with this source address, in the one direction or the other."""
    protocol = _nested(_TUPLE_PROTO, _attribute(_FIRST, bytes([socket.IPPROTO_UDP])))
    only = _nested(_FILTER, _attribute(_FIRST, struct.pack("=L", _BY_PROTOCOL)))
    kernel.send(_message(_GET, _REQUEST | _DUMP, _nested(_TUPLE_ORIG, protocol) + only))
    found: list[bytes] = []
    while True:
        for kind, body in _messages(kernel.recv(_BUFFER)):
            if kind == _DONE:
                return found
            if kind == _ERROR:
                _raise(body)
            elif source in body:  # cheap, and true of few
                parts = dict(_attributes(body[len(_FAMILY) :]))
                if source in (_source(parts[_TUPLE_ORIG]), _source(parts[_TUPLE_REPLY])):
                    name = _nested(_TUPLE_ORIG, parts[_TUPLE_ORIG]) + _attribute(_ID, parts[_ID])
                    found.append(name + (_attribute(_ZONE, parts[_ZONE]) if _ZONE in parts else b""))


def _source(direction: bytes) -> bytes:
    return dict(_attributes(dict(_attributes(direction))[_TUPLE_IP]))[_FIRST]


def _errors(kernel: socket.socket) -> None:
    """Without a wish for answers there are some to requests that failed alone, and at once."""
    while True:
        try:
            answer = kernel.recv(_BUFFER, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        for kind, body in _messages(answer):
            if kind == _ERROR:
                _raise(body)


def _raise(body: bytes) -> None:
    number = -struct.unpack_from("=l", body)[0]
    if number not in (0, errno.ENOENT):  # it has ended by itself meanwhile
        raise OSError(number, os.strerror(number))


def _message(kind: int, flags: int, body: bytes) -> bytes:
    body = _FAMILY + body
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 0, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size, kind, *_ = _HEADER.unpack_from(data, at)
        yield kind, data[at + _HEADER.size : at + size]
        at += _aligned(size)


def _nested(kind: int, body: bytes) -> bytes:
    return _attribute(kind | _NESTED, body)


def _attribute(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(_aligned(size) - size)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        yield kind & 0x3FFF, data[at + _ATTRIBUTE.size : at + size]
        at += _aligned(size)


def _aligned(size: int) -> int:
    return (size + 3) & ~3
