"""Sending blobs: in one request where they are small, else in chunks that are taken up where one was lost.

OCI distribution-spec, "Pushing blobs".
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import IO
from urllib.parse import quote

from paas.errors import InvalidInput, PaasError, SystemFailure
from paas.registry.client import Repository
from paas.registry.manifests import Descriptor
from paas.registry.transport import PATIENCE, Unreachable

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
) -> None:
    """Send a blob, to a place that was given for it before or to a new one. Raises PaasError."""
    for pause in PATIENCE:
        try:
            _once(repository, blob, file, location or repository.begin_upload() or "", sent)
            return
        except (_Lost, Unreachable):
            location = None
            repository.transport.wait(pause)
    try:
        _once(repository, blob, file, repository.begin_upload() or "", sent)
    except _Lost as error:
        raise error.problem from None


def upload_bytes(repository: Repository, blob: Descriptor, data: bytes) -> None:
    if not repository.has_blob(blob.digest):
        upload(repository, blob, io.BytesIO(data))


class _Lost(Exception):
    """The upload has to begin anew; `problem` if that does not help either."""

    def __init__(self, problem: PaasError) -> None:
        super().__init__(problem.message)
        self.problem = problem


def _once(repository: Repository, blob: Descriptor, file: IO[bytes], location: str, sent: Sent) -> None:
    body: bytes = b""
    if blob.size <= _CHUNK:
        file.seek(0)
        body = file.read()
    else:
        location = _chunks(repository, blob, file, location, sent)
    joiner = "&" if "?" in location else "?"
    answer = repository.upload("PUT", f"{location}{joiner}digest={quote(blob.digest, safe=':')}", {}, body)
    if answer.status not in (201, 202, 204):
        raise _failed(repository, answer.status, answer.headers, blob)
    if answer.headers.get("Docker-Content-Digest", blob.digest) != blob.digest:
        raise InvalidInput(f"{repository.host} has kept something else than what was sent")


def _chunks(repository: Repository, blob: Descriptor, file: IO[bytes], location: str, sent: Sent) -> str:
    """Send all chunks; returns the address for the last request."""
    offset, lost = 0, 0
    while offset < blob.size:
        repository.transport.wait(0)  # raises Cancelled
        file.seek(offset)
        data = file.read(_CHUNK)
        headers = {"Content-Range": f"{offset}-{offset + len(data) - 1}"}
        try:
            answer = repository.upload("PATCH", location, headers, data)
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


def _received(headers: Mapping[str, str], otherwise: int) -> int:
    """How many bytes the registry has, after its Range header (`0-LAST`)."""
    found = _RANGE.fullmatch(headers.get("Range", ""))
    return int(found[1]) + 1 if found and int(found[1]) > 0 else otherwise


def _failed(repository: Repository, status: int, headers: Mapping[str, str], blob: Descriptor) -> Exception:
    if status == 400:
        return SystemFailure(f"{repository.host} refuses the layer {blob.short}: it says that the request is wrong")
    problem = repository.failure(status, headers, "such an upload")
    return _Lost(problem) if status in _PASSING else problem
