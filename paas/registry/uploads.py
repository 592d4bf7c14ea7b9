"""Sending blobs: in one request where they are small, else in chunks that are taken up where one was lost.

OCI distribution-spec, "Pushing blobs".
"""

from __future__ import annotations

import contextlib
import io
import os
import queue
import re
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO
from urllib.parse import quote

from paas.errors import InvalidInput, PaasError, SystemFailure
from paas.registry.client import Repository
from paas.registry.manifests import Descriptor
from paas.registry.transport import PATIENCE, Answer, Unreachable

_CHUNK = 8 << 20
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")
_PASSING = frozenset({404, 416, 500, 502, 503, 504})
"""404 and 416: the registry has lost the upload, or has another part of it than we think."""


Sent = Callable[[int], object]
"""Is told how many bytes of a blob have arrived, of one that goes in chunks."""


def upload(
    repository: Repository,
    blob: Descriptor,
    file: IO[bytes],
    location: str | None = None,
    sent: Sent = lambda count: None,
    offset: int = 0,
) -> None:
    """Send a blob, to a place that was given for it before, which has the first `offset` bytes, or to a new one.

    Raises PaasError.
    """
    for pause in PATIENCE:
        try:
            _once(repository, blob, file, location or repository.begin_upload() or "", sent, offset)
            return
        except (_Lost, Unreachable):
            location, offset = None, 0
            repository.transport.wait(pause)
    try:
        _once(repository, blob, file, repository.begin_upload() or "", sent, 0)
    except _Lost as error:
        raise error.problem from None


def upload_bytes(repository: Repository, blob: Descriptor, data: bytes) -> None:
    if not repository.has_blob(blob.digest):
        upload(repository, blob, io.BytesIO(data))


class Ahead:
    """Sends a blob's beginning while the rest of it is still being made; `upload` goes on from there.

    A context manager, and the file that the blob is written to. Whatever goes wrong only means that there is no
    beginning: `upload` meets it again, and knows what to do about it.
    """

    def __init__(self, repository: Repository, file: IO[bytes], location: str | None) -> None:
        self.location = location
        """For `upload`, as `offset`."""
        self.offset = 0
        self._repository = repository
        self._file = file
        self._written = self._told = 0
        self._ready: queue.SimpleQueue[int] = queue.SimpleQueue()
        """How many bytes can be read by now."""
        self._ended = threading.Event()
        self._sender = threading.Thread(target=self._send, name="upload ahead", daemon=True)

    def __enter__(self) -> Ahead:
        self._sender.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._written += len(data)
        if self._written - self._told >= _CHUNK:
            self._file.flush()
            self._told = self._written
            self._ready.put(self._written)

    def end(self) -> None:
        """All is written: wait for the chunk that is on its way, if there is one."""
        self._file.flush()
        self._stop()

    def _stop(self) -> None:
        self._ended.set()
        self._ready.put(0)
        self._sender.join()

    def abandon(self) -> None:
        """Tell the registry that the rest will not come."""
        if self.location is not None:
            with contextlib.suppress(PaasError):  # it forgets by itself, later
                self._repository.upload("DELETE", self.location, {}, None)

    def _send(self) -> None:
        while (size := self._ready.get()) and not self._ended.is_set():
            offset, location = self.offset, self.location
            self.offset, self.location = 0, None
            try:
                location = location or self._repository.begin_upload() or ""
                data = os.pread(self._file.fileno(), min(_CHUNK, size - offset), offset)
                answer = _patch(self._repository, location, data, offset)
                if answer.status not in (202, 204):
                    return
                self.location = self._repository.location(answer)
                self.offset = _received(answer.headers, offset + len(data))
            except (PaasError, OSError):
                return


class _Lost(Exception):
    """The upload has to begin anew; `problem` if that does not help either."""

    def __init__(self, problem: PaasError) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _once(repository: Repository, blob: Descriptor, file: IO[bytes], location: str, sent: Sent, offset: int) -> None:
    body: bytes = b""
    if blob.size <= _CHUNK and not offset:
        file.seek(0)
        body = file.read()
    else:
        location = _chunks(repository, blob, file, location, sent, offset)
    joiner = "&" if "?" in location else "?"
    answer = repository.upload("PUT", f"{location}{joiner}digest={quote(blob.digest, safe=':')}", {}, body)
    if answer.status not in (201, 202, 204):
        raise _failed(repository, answer.status, answer.headers, blob)
    if answer.headers.get("Docker-Content-Digest", blob.digest) != blob.digest:
        raise InvalidInput(f"{repository.host} has kept something else than what was sent")


def _chunks(repository: Repository, blob: Descriptor, file: IO[bytes], location: str, sent: Sent, offset: int) -> str:
    """Send all chunks from an offset on; returns the address for the last request."""
    lost = 0
    while offset < blob.size:
        repository.transport.wait(0)  # raises Cancelled
        file.seek(offset)
        data = file.read(_CHUNK)
        try:
            answer = _patch(repository, location, data, offset)
            if answer.status not in (202, 204):
                raise _failed(repository, answer.status, answer.headers, blob)
            location = repository.location(answer)
            offset = _received(answer.headers, offset + len(data))
            sent(offset)
        except Unreachable:
            lost += 1
            if lost >= len(PATIENCE):
                raise
            repository.transport.wait(PATIENCE[lost])
            status = repository.upload("GET", location, {}, None)
            if status.status not in (200, 204):
                raise _failed(repository, status.status, status.headers, blob) from None
            location = repository.location(status) if status.headers.get("Location") else location
            offset = _received(status.headers, 0)
    return location


def _patch(repository: Repository, location: str, data: bytes, offset: int) -> Answer:
    return repository.upload("PATCH", location, {"Content-Range": f"{offset}-{offset + len(data) - 1}"}, data)


def _received(headers: Mapping[str, str], otherwise: int) -> int:
    """How many bytes the registry has, after its Range header (`0-LAST`)."""
    found = _RANGE.fullmatch(headers.get("Range", ""))
    return int(found[1]) + 1 if found and int(found[1]) > 0 else otherwise


def _failed(repository: Repository, status: int, headers: Mapping[str, str], blob: Descriptor) -> Exception:
    if status == 400:
        return SystemFailure(f"{repository.host} refuses the layer {blob.short}: it says that the request is wrong")
    problem = repository.failure(status, headers, "such an upload")
    return _Lost(problem) if status in _PASSING else problem
