"""Builds: at most so many at once, each with a record, its output kept, and a way to cancel it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from paas.apps.properties import Properties
from paas.build.builder import Builder
from paas.build.options import BuildOptions
from paas.build.progress import Progress, Style
from paas.deploy.held import Request
from paas.errors import Cancelled, NotFound, PaasError
from paas.faults import reached
from paas.image.lease import Lease
from paas.image.store import ImageStore
from paas.model import Image
from paas.names import shown
from paas.output import Hangup, Output, harmless
from paas.paths import Paths
from paas.source.entry import Tree
from paas.state import builds
from paas.state.apps import App
from paas.state.builds import BuildRow
from paas.state.database import Database
from paas.system.files import ensure_directory

log = logging.getLogger(__name__)

_OUTPUT_LIMIT = 8 << 20
"""Bytes that are kept of one build's output."""
_POLL = 0.1


class Build:
    """One build that runs. `out` passes on to the caller and keeps what it passes."""

    def __init__(self, id: int, db: Database, app: App | None, out: Output, request: Request, lease: Lease) -> None:
        self.id = id
        self.app = app
        self.out = out
        self.lease = lease
        self._db = db
        self._request = request
        self._cancel = threading.Event()

    def cancel(self) -> None:
        self._cancel.set()

    def cancelled(self) -> bool:
        return self._cancel.is_set() or self._request.cancelled()

    @property
    def request(self) -> Request:
        """What the rest of a deploy is asked with."""
        return Request(self._request.who, self.out, self.cancelled)

    def status(self, status: str) -> None:
        builds.set_status(self._db, self.id, status)


class Builds:
    def __init__(self, db: Database, paths: Paths, store: ImageStore, builder: Builder, properties: Properties) -> None:
        self._db = db
        self._directory = ensure_directory(paths.builds, mode=0o700)
        self._store = store
        self._builder = builder
        self._properties = properties
        self._condition = threading.Condition()
        self._queue: list[int] = []
        self._working: set[int] = set()
        self._active: dict[int, Build] = {}
        self._fetches: list[tuple[int, threading.Event]] = []
        """Apps, and what ends their fetches."""
        self._tidying = threading.Lock()

    def recover(self) -> None:
        """At start: what the last engine did not end has failed."""
        for row in builds.interrupted(self._db):
            builds.end(self._db, row.id, "failed", "The engine was stopped meanwhile")

    # -- one build ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def record(self, app: App | None, name: str, source: str, request: Request) -> Iterator[Build]:
        """A build from its beginning to its end, which is that of a deploy for an app."""
        id = builds.insert(self._db, app.id if app else None, name, request.who.name, source)
        reached("build:recorded")
        status, error = "failed", ""
        with self._log(id).open("wb") as file, self._store.lease() as lease:
            kept = _Kept(request.out, file)
            build = Build(id, self._db, app, kept, request, lease)
            with self._condition:
                self._active[id] = build
            try:
                yield build
                status = "succeeded"
            except (Cancelled, Hangup):
                status = "cancelled"
                raise
            except PaasError as problem:
                status, error = ("cancelled" if build.cancelled() else "failed"), problem.message
                kept.note(problem.message)  # the caller is told of it by whoever catches it
                raise
            except BaseException:
                error = "Internal error"
                raise
            finally:
                with self._condition:
                    self._active.pop(id, None)
                builds.end(self._db, id, status, error)
                self.tidy(app)

    def image(
        self, build: Build, tree: Tree, options: BuildOptions, *, style: Style = "plain", noun: str = "the pushed tree"
    ) -> Image:
        """Build a tree, once it is its turn. Raises BuildFailed, Cancelled."""
        progress = Progress(build.out, style)
        with self._turn(build):
            build.status("building")
            try:
                image = self._builder.build(tree, options, progress, build.lease, build.cancelled, noun)
            except PaasError as error:
                builds.set_image(self._db, build.id, "", progress.steps, progress.cached)
                if build.app is not None and not build.cancelled():
                    build.out.warn("App build failed")
                    before = "What was deployed before serves on. " if build.app.release else ""
                    error.hint = error.hint or f"{before}All of its output: builds:output {build.app.name} {build.id}"
                raise
            builds.set_image(self._db, build.id, image.id, progress.steps, progress.cached)
        return image

    @contextlib.contextmanager
    def _turn(self, build: Build) -> Iterator[None]:
        """In the order of arrival, as many at once as builder's `concurrency` says."""
        told = False
        with self._condition:
            self._queue.append(build.id)
            try:
                while not self._is_next(build.id):
                    if not told:
                        ahead = self._queue.index(build.id) + len(self._working)
                        build.out.detail(f"Waiting for {ahead} build{'s' * (ahead != 1)} to finish...")
                        told = True
                    self._condition.wait(_POLL)
                    if build.cancelled():
                        raise Cancelled("The build was cancelled")
                self._working.add(build.id)
            finally:
                self._queue.remove(build.id)
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._working.discard(build.id)
                self._condition.notify_all()

    def _is_next(self, id: int) -> bool:
        limit = self._properties.value("builder", "concurrency", None)
        return self._queue[0] == id and len(self._working) < limit

    # -- what is known --------------------------------------------------------------------------------------------

    def listed(self, app: App | None) -> list[BuildRow]:
        return builds.listing(self._db, app.id if app else None)

    def get(self, app: App | None, id: str) -> BuildRow:
        """By its number, or `current`: the newest. Raises NotFound."""
        if id == "current":
            newest = self.listed(app)
            if newest:
                return newest[0]
        row = builds.get(self._db, int(id)) if id.isascii() and id.isdigit() and len(id) < 10 else None
        if row is None or (app is not None and row.app != app.id):
            of = f" of {app.name}" if app else ""
            raise NotFound(f"There is no build {shown(id)}{of}", hint="builds:list shows those that there are.")
        return row

    def output(self, row: BuildRow) -> Iterator[bytes]:
        """What a build has said so far; of one that runs also what it says from now on, to its end."""
        try:
            with self._log(row.id).open("rb") as file:
                while True:
                    running = self._is_running(row.id)
                    if piece := file.read(65536):
                        yield piece
                    elif running:
                        time.sleep(_POLL)
                        yield b""
                    else:
                        return
        except FileNotFoundError:
            raise NotFound(f"The output of build {row.id} is not kept any more") from None

    @contextlib.contextmanager
    def fetch(self, app: App, request: Request) -> Iterator[Request]:
        """What is to be built is fetched first, and there is no build yet: what is done with this request, `cancel`
        ends for the app."""
        cancel = threading.Event()
        entry = (app.id, cancel)
        with self._condition:
            self._fetches.append(entry)
        try:
            yield Request(request.who, request.out, lambda: cancel.is_set() or request.cancelled())
        finally:
            with self._condition:
                self._fetches.remove(entry)

    def cancel_fetches(self, app: App) -> int:
        """Cancel what is fetched for an app, and the builds that follow; returns how many."""
        with self._condition:
            found = [cancel for owner, cancel in self._fetches if owner == app.id]
        for cancel in found:
            cancel.set()
        return len(found)

    def cancel(self, app: App | None, id: int | None = None) -> list[int]:
        """Cancel builds that run, of an app or by number; returns which."""
        with self._condition:
            found = []
            for build in self._active.values():
                row = builds.get(self._db, build.id)
                if row is not None and ((app is not None and row.app == app.id) or row.id == id):
                    build.cancel()
                    found.append(build.id)
            self._condition.notify_all()
        return found

    def _is_running(self, id: int) -> bool:
        with self._condition:
            return id in self._active

    def _log(self, id: int) -> Path:
        return self._directory / f"{id}.log"

    # -- garbage --------------------------------------------------------------------------------------------------

    def prune(self, app: App | None) -> int:
        """Forget all finished builds of an app, or (None) those of `paas build`; returns how many."""
        return self._forget(app.id if app else None, 0)

    def drop_output(self, rows: Sequence[BuildRow]) -> None:
        """Of an app that is gone; its records went with it."""
        for row in rows:
            self._log(row.id).unlink(missing_ok=True)

    def _forget(self, app: int | None, keep: int) -> int:
        doomed = builds.beyond(self._db, app, keep)
        for id in doomed:
            self._log(id).unlink(missing_ok=True)
            builds.delete(self._db, id)
        return len(doomed)

    def tidy(self, app: App | None) -> None:
        """After a build: old records, images that nothing needs, the cache beyond its size. Nobody waits for it."""

        def work() -> None:
            if not self._tidying.acquire(blocking=False):
                return
            try:
                self._forget(app.id if app else None, self._properties.value("builds", "retention", app))
                self._store.prune(self._properties.value("builder", "cache-size", None))
            except PaasError as error:
                log.error("tidying after a build: %s", error.message)
            except Exception:
                log.exception("tidying after a build")
            finally:
                self._tidying.release()

        threading.Thread(target=work, name="tidy", daemon=True).start()


class _Kept:
    """Output that is also written to a file, up to a limit. The caller may hang up; the file has it all the same."""

    def __init__(self, out: Output, file: IO[bytes]) -> None:
        self._out = out
        self._file = file
        self._left = _OUTPUT_LIMIT
        self._lock = threading.Lock()

    def heading(self, text: str) -> None:
        self._keep(f"-----> {harmless(text)}\n")
        self._out.heading(text)

    def result(self, text: str) -> None:
        self._keep(f"=====> {harmless(text)}\n")
        self._out.result(text)

    def detail(self, text: str) -> None:
        self._keep("".join(f"       {part}\n" for part in harmless(text).splitlines() or [""]))
        self._out.detail(text)

    def line(self, text: str) -> None:
        self._keep(f"{text}\n")
        self._out.line(text)

    def warn(self, text: str) -> None:
        self._keep("".join(f" !     {part}\n" for part in harmless(text).splitlines() or [""]))
        self._out.warn(text)

    def note(self, text: str) -> None:
        """A warning that only the file gets."""
        self._keep("".join(f" !     {part}\n" for part in harmless(text).splitlines()))

    def raw(self, data: bytes) -> None:
        self._keep(data)
        self._out.raw(data)

    def _keep(self, data: str | bytes) -> None:
        piece = data if isinstance(data, bytes) else data.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._left <= 0 or self._file.closed:
                return
            if len(piece) > self._left:
                piece = piece[: self._left] + b"\n(the rest is not kept)\n"
                self._left = 0
            self._left -= len(piece)
            with contextlib.suppress(OSError):  # a full disk must not end a build that needs none
                self._file.write(piece)
                self._file.flush()
