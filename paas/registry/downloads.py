"""Blobs to files, several at once; a connection that breaks is taken up where it broke (RFC 9110, Range)."""

from __future__ import annotations

import hashlib
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from urllib3.exceptions import HTTPError

from paas.errors import Cancelled, DiskFull, InvalidInput, PaasError, SystemFailure
from paas.output import decimal_bytes
from paas.registry.client import Repository, wrong_bytes
from paas.registry.manifests import Descriptor
from paas.registry.transport import PATIENCE, Say, Unreachable, unreachable
from paas.system.disk import is_full

_AT_ONCE = 3
_PIECE = 1 << 16
_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_SHOW_EVERY = 2.0


class Downloads:
    """A context manager: blobs become files `directory/HEX`, each checked before it counts as done."""

    def __init__(self, repository: Repository, directory: Path, say: Say, claim: Callable[[str, Path], None]) -> None:
        """`claim(HEX, directory)` puts there what an earlier download has left of a blob."""
        self._repository = repository
        self._directory = directory
        self._claim = claim
        self._say = say
        self._queue: queue.SimpleQueue[Descriptor | None] = queue.SimpleQueue()
        self._done: dict[str, Future[Path]] = {}
        self._received: dict[str, int] = {}
        self._ended = threading.Event()
        self._shown = time.monotonic()

    def __enter__(self) -> Downloads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()

    def start(self, blobs: Iterable[Descriptor]) -> None:
        """Begin with blobs, in this order. Threads that wait for a slow registry are not waited for at the end."""
        for blob in blobs:
            if blob.digest not in self._done:
                self._done[blob.digest] = Future()
                self._queue.put(blob)
        for number in range(_AT_ONCE):
            self._queue.put(None)
            threading.Thread(target=self._work, name=f"download {number}", daemon=True).start()

    def wait(self, blob: Descriptor) -> Path:
        """The file of a blob that was started; says meanwhile how far it is. Raises what went wrong, Cancelled."""
        future = self._done[blob.digest]
        while True:
            try:
                return future.result(timeout=0.1)
            except TimeoutError:
                pass
            if self._repository.transport.cancelled():
                raise Cancelled("Cancelled; what has come so far spares the next pull its time")
            self._tell(blob)

    def _tell(self, blob: Descriptor) -> None:
        if time.monotonic() - self._shown >= _SHOW_EVERY:
            self._shown = time.monotonic()
            have = self._received.get(blob.digest, 0)
            self._say(f"{blob.short}: Downloading {decimal_bytes(have)}/{decimal_bytes(blob.size)}")

    def _work(self) -> None:
        while (blob := self._queue.get()) is not None:
            future = self._done[blob.digest]
            if self._is_over():
                return
            try:
                future.set_result(self._download(blob))
            except BaseException as error:  # noqa: BLE001  whoever waits for the file gets it
                future.set_exception(error)

    def _download(self, blob: Descriptor) -> Path:
        path = self._directory / blob.digest.removeprefix("sha256:")
        try:
            self._claim(path.name, self._directory)
            with path.open("r+b" if path.exists() else "w+b") as file:
                _Download(self._repository, blob, file, self._is_over, self._note).run()
        except OSError as error:
            raise disk_failure(error) from error
        return path

    def _is_over(self) -> bool:
        return self._ended.is_set() or self._repository.transport.cancelled()

    def _note(self, blob: Descriptor, received: int) -> None:
        self._received[blob.digest] = received


class _Download:
    """One blob into one file."""

    def __init__(
        self,
        repository: Repository,
        blob: Descriptor,
        file: IO[bytes],
        over: Callable[[], bool],
        note: Callable[[Descriptor, int], None],
    ) -> None:
        self._repository = repository
        self._blob = blob
        self._file = file
        self._over = over
        self._note = note
        self._received = 0
        self._hash: Any = hashlib.sha256()

    def run(self) -> None:
        """Raises InvalidInput for other bytes than the digest's, Unreachable, Cancelled, OSError."""
        resumed = self._take_up()
        try:
            self._complete()
        except InvalidInput:
            if not resumed:
                raise
            self._begin_anew()  # what was kept may be what a crash of the machine has left of it
            self._complete()

    def _take_up(self) -> bool:
        """Whether there is a beginning from an earlier download; go on after it."""
        while piece := self._file.read(_BLOCK):
            self._received += len(piece)
            self._hash.update(piece)
        if self._received > self._blob.size:
            self._begin_anew()
        return self._received > 0

    def _begin_anew(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._received, self._hash = 0, hashlib.sha256()

    def _complete(self) -> None:
        failures = 0
        while self._received < self._blob.size or self._blob.size == 0:
            before = self._received
            try:
                self._receive()
                if self._received >= self._blob.size:
                    break
                problem: PaasError = Unreachable(f"{self._repository.host} ends in the middle of a layer")
            except Unreachable as error:
                problem = error
            failures = 0 if self._received > before else failures + 1
            if failures >= len(PATIENCE):
                raise problem
            self._repository.transport.wait(PATIENCE[failures])
        if "sha256:" + self._hash.hexdigest() != self._blob.digest:
            raise wrong_bytes(self._repository.host, self._blob.digest)

    def _receive(self) -> None:
        response = self._repository.open_blob(self._blob, self._received)
        try:
            if self._received and not self._goes_on(response.status, response.headers.get("Content-Range", "")):
                self._begin_anew()
            for piece in response.stream(_PIECE):
                if self._over():
                    raise Cancelled("Cancelled")
                self._received += len(piece)
                if self._received > self._blob.size:
                    raise wrong_bytes(self._repository.host, self._blob.digest)
                self._hash.update(piece)
                self._file.write(piece)
                self._note(self._blob, self._received)
        except HTTPError as error:
            raise unreachable(f"https://{self._repository.host}", error) from None
        finally:
            response.close()

    def _goes_on(self, status: int, content_range: str) -> bool:
        """Whether a response begins where the last one ended; else it begins at the beginning."""
        found = _RANGE.fullmatch(content_range)
        return status == 206 and found is not None and int(found[1]) == self._received


def disk_failure(error: OSError) -> SystemFailure:
    """The words for a disk that takes no more."""
    if is_full(error):
        return DiskFull("The disk is full; nothing was kept")
    return SystemFailure(f"The image cannot be kept: {error.strerror}")
