"""A layer as a blob: its tar, compressed with gzip. The same layer always gives the same bytes, with the
same release of zlib-ng."""

from __future__ import annotations

import hashlib
import os
import struct
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from zlib_ng import zlib_ng as zlib

from paas.image.store import ImageStore
from paas.image.tarring import write_tar
from paas.model import Layer

_BLOCK = 1 << 20
"""Bytes of the tar that are compressed by themselves: several processors work at once, on whatever number of them the
bytes are the same. It costs a thousandth of the size."""
_LEVEL = 5
"""With zlib-ng as small as gzip's usual 6, in less than half of its time."""
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952: deflate, no name, no time, no system."""
_LAST = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS).flush()


@dataclass(frozen=True, slots=True)
class Packed:
    """`digest` and `size` (bytes) of the compressed blob; `diff_id` is the plain tar's digest."""

    digest: str
    size: int
    diff_id: str


class Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


def pack_layer(store: ImageStore, layer: Layer, file: Writable) -> Packed:
    """Write a layer's blob to a file, and note its diff_id in the store. Raises SystemFailure, OSError."""
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="gzip") as workers:
        packer = _Packer(workers, file)
        write_tar(store.layer_directory(layer.number), packer.write)
        packed = packer.finish()
    store.note_diff_id(layer, packed.diff_id)
    return packed


class _Packer:
    def __init__(self, workers: ThreadPoolExecutor, file: Writable) -> None:
        self._workers = workers
        self._file = file
        self._plain = hashlib.sha256()
        self._packed = hashlib.sha256()
        self._crc = self._length = self._size = 0
        self._pieces: list[bytes | memoryview] = []
        self._gathered = 0
        """Bytes in these."""
        self._waiting: deque[Future[bytes]] = deque()
        self._most = 2 * (os.cpu_count() or 1)
        self._keep(_HEADER)

    def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._gathered += len(data)
        if self._gathered >= _BLOCK:
            whole = memoryview(b"".join(self._pieces))
            while len(whole) >= _BLOCK:
                self._send(whole[:_BLOCK])
                whole = whole[_BLOCK:]
            self._pieces, self._gathered = [whole], len(whole)

    def finish(self) -> Packed:
        self._send(memoryview(b"".join(self._pieces)))
        while self._waiting:
            self._keep(self._waiting.popleft().result())
        self._keep(_LAST)
        self._keep(struct.pack("<II", self._crc, self._length & 0xFFFF_FFFF))
        return Packed(f"sha256:{self._packed.hexdigest()}", self._size, f"sha256:{self._plain.hexdigest()}")

    def _send(self, block: memoryview) -> None:
        self._waiting.append(self._workers.submit(_deflated, block))
        self._plain.update(block)
        self._crc = zlib.crc32(block, self._crc)
        self._length += len(block)
        while len(self._waiting) > self._most:  # else all of it would come to lie in memory
            self._keep(self._waiting.popleft().result())

    def _keep(self, data: bytes) -> None:
        self._packed.update(data)
        self._file.write(data)
        self._size += len(data)


def _deflated(block: memoryview) -> bytes:
    """A part of a deflate stream that ends on a byte, so that others can follow it."""
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)
