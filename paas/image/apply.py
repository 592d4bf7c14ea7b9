"""Layers that come from elsewhere: checked against their digest while they are unpacked, then kept in the store."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import IO, cast

from paas.errors import Cancelled, InvalidInput
from paas.image.decompress import compression, decompressed, peek
from paas.image.layers import LayerDraft
from paas.image.lease import Lease
from paas.image.store import ImageStore
from paas.image.unpack import Limits, unpack
from paas.model import Layer

_LIMITS = Limits()
_PIECE, _AHEAD = 1 << 20, 3
_COMPRESSIONS = (None, "gzip", "zstd")
"""Those that image-spec's layer media types have."""


def layer_id(diff_id: str) -> str:
    """The id of the layer whose plain tar has this digest; it says nothing of what lies below."""
    return "sha256:" + hashlib.sha256(f"diff_id {diff_id}".encode()).hexdigest()


def apply_layer(
    store: ImageStore,
    stream: IO[bytes],
    lease: Lease,
    *,
    diff_id: str | None = None,
    limits: Limits = _LIMITS,
    cancelled: Callable[[], bool] = lambda: False,
) -> Layer:
    """Unpack a layer's tar (plain, gzip or zstd) into the store. It survives a crash of the machine after
    `store.settle`. Raises as `fill`; then nothing of it is kept.
    """
    with store.draft() as draft:
        found = fill(draft, stream, diff_id=diff_id, limits=limits, cancelled=cancelled)
        return store.keep(draft, layer_id(found), found, lease)


def fill(
    draft: LayerDraft,
    stream: IO[bytes],
    *,
    diff_id: str | None = None,
    limits: Limits = _LIMITS,
    cancelled: Callable[[], bool] = lambda: False,
) -> str:
    """Unpack a layer's tar into a draft; returns the digest of the plain tar.

    Raises InvalidInput when it is damaged, leads outside, is larger than the limits or is not what `diff_id` says.
    Raises Cancelled.
    """
    try:
        head, whole = peek(stream)
    except OSError as error:
        raise InvalidInput(f"The layer is damaged: {error}") from None
    kind = compression(head)
    if kind not in _COMPRESSIONS:
        raise InvalidInput(f"The layer is compressed with {kind}", hint="Layers are plain, gzip or zstd.")
    plain = _Hashed(decompressed(whole, kind), cancelled)
    with _Ahead(cast(IO[bytes], plain)) as ahead:
        root = os.open(draft.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            unpack(cast(IO[bytes], ahead), root, whiteouts=True, limits=limits)
        finally:
            os.close(root)
        if ahead.read(1):
            raise InvalidInput("The layer does not end where its tar does")
        found = "sha256:" + plain.hash.hexdigest()  # of all of it, now that its end was seen
        if diff_id is not None and found != diff_id:
            raise InvalidInput(f"The layer's content is not what the image's config says: {found} for {diff_id}")
    return found


class _Ahead:
    """A stream that is read on another processor, a little ahead. A context manager: nobody reads on after it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="decompress")
        self._pieces = deque(self._reader.submit(stream.read, _PIECE) for _ in range(_AHEAD))
        self._data = b""

    def __enter__(self) -> _Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.shutdown(cancel_futures=True)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, perhaps fewer; none at the end."""
        if not self._data and self._pieces:
            data = self._pieces.popleft().result()
            if data:
                self._pieces.append(self._reader.submit(self._stream.read, _PIECE))
            else:
                self._pieces.clear()
            self._data = data
        if size < 0 or size >= len(self._data):
            found, self._data = self._data, b""
        else:
            found, self._data = self._data[:size], self._data[size:]
        return found


class _Hashed:
    """A stream that is hashed while it is read."""

    def __init__(self, stream: IO[bytes], cancelled: Callable[[], bool]) -> None:
        self._stream = stream
        self._cancelled = cancelled
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        if self._cancelled():
            raise Cancelled("Cancelled; nothing was kept")
        data = self._stream.read(size)
        self.hash.update(data)
        return data
