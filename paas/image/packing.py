"""A layer as a blob: its tar, compressed with gzip. The same layer always gives the same bytes."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import IO

from paas.image.store import ImageStore
from paas.image.tarring import write_tar
from paas.model import Layer


@dataclass(frozen=True, slots=True)
class Packed:
    """`digest` and `size` (bytes) of the compressed blob; `diff_id` is the plain tar's digest."""

    digest: str
    size: int
    diff_id: str


def pack_layer(store: ImageStore, layer: Layer, file: IO[bytes]) -> Packed:
    """Write a layer's blob to a file, and note its diff_id in the store. Raises SystemFailure, OSError."""
    plain, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    gzip = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # its header has no name and no time

    def keep(data: bytes) -> None:
        nonlocal size
        packed.update(data)
        file.write(data)
        size += len(data)

    def write(data: bytes) -> None:
        plain.update(data)
        keep(gzip.compress(data))

    write_tar(store.layer_directory(layer.number), write)
    keep(gzip.flush())
    diff_id = f"sha256:{plain.hexdigest()}"
    store.note_diff_id(layer, diff_id)
    return Packed(f"sha256:{packed.hexdigest()}", size, diff_id)
