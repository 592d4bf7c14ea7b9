"""One-off commands that run on when their caller leaves: run:detached. The engine may be restarted meanwhile."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from paas.deploy.oneoff import GRACE, OneOff, new_name
from paas.errors import NotFound, PaasError
from paas.faults import reached
from paas.model import Who
from paas.runtime.keptlogs import KeptLogs
from paas.runtime.sandbox import Sandbox, SandboxPool
from paas.state import apps, oneoffs
from paas.state.apps import App
from paas.state.database import Database, now
from paas.state.oneoffs import OneOffRow

log = logging.getLogger(__name__)

_LOOK = 60.0
"""Seconds after which a waiting thread looks at the clock again."""


class Detached:
    def __init__(self, db: Database, oneoff: OneOff, sandboxes: SandboxPool, kept_logs: KeptLogs) -> None:
        self._db = db
        self._oneoff = oneoff
        self._runtime = oneoff.runtime
        self._sandboxes = sandboxes
        self._kept_logs = kept_logs
        self._closing = threading.Event()
        self._finishing = threading.Lock()
        self._held: dict[str, Sandbox] = {}
        """Sandboxes by container. Not found by address: after a restart of the machine addresses are given anew."""

    def close(self) -> None:
        """Stop waiting; what runs goes on, and the next engine waits for it."""
        self._closing.set()

    # -- a command's life -----------------------------------------------------------------------------------------

    def start(self, app: App, command: Sequence[str], env: Mapping[str, str], who: Who, ttl: int) -> OneOffRow:
        """Start a command; it is ended after `ttl` seconds. Raises Conflict when the app has no release."""
        name = new_name()
        spec = self._oneoff.spec(app, command, dict(env), name)
        with ExitStack() as undo:
            sandbox = self._sandboxes.take()
            undo.callback(self._sandboxes.release, sandbox)
            expires = (datetime.now(UTC) + timedelta(seconds=ttl)).isoformat(timespec="milliseconds")
            row = OneOffRow(
                spec.id, app.id, name, tuple(command), sandbox.address, str(who), now(), expires.replace("+00:00", "Z")
            )
            oneoffs.insert(self._db, row)
            reached("detached:recorded")
            undo.callback(oneoffs.delete, self._db, row.id)
            undo.callback(self._runtime.remove, row.id)
            self._runtime.create(replace(spec, init=True), sandbox)
            undo.callback(self._oneoff.linked.leave, row.id)
            self._oneoff.linked.join(row.id, app, sandbox.address)
            self._runtime.start(row.id)
            reached("detached:started")
            undo.pop_all()
        self._held[row.id] = sandbox
        self._wait_for(row)
        return row

    def of(self, app: App) -> list[OneOffRow]:
        """Those that run."""
        return oneoffs.listing(self._db, app.id)

    def named(self, app: App, name: str) -> OneOffRow:
        """By `run.4711`, or that behind the app's name. Raises NotFound."""
        short = name.removeprefix(f"{app.name}.")
        for row in self.of(app):
            if short in (row.name, row.id):
                return row
        raise NotFound(f"{app.name} runs no {short}", hint=f"run:list {app.name} shows what it runs.")

    def stop(self, row: OneOffRow) -> None:
        """SIGTERM, ten seconds, SIGKILL; its log is kept."""
        self._runtime.stop(row.id, grace=GRACE)
        self._finish(row)

    # -- restarts of the engine -----------------------------------------------------------------------------------

    def present(self) -> Mapping[str, IPv4Address | None]:
        """All of them by container id, with the addresses of those that run."""
        return {
            row.id: row.address if self._runtime.pid(row.id) is not None else None for row in oneoffs.listing(self._db)
        }

    def adopt(self) -> None:
        """Wait for what a former engine left running, and tidy up what has ended."""
        for row in oneoffs.listing(self._db):
            sandbox = self._sandboxes.at(row.address) if self._runtime.pid(row.id) is not None else None
            if sandbox is not None:
                self._held[row.id] = sandbox
                self._oneoff.linked.join(row.id, apps.by_id(self._db, row.app), row.address)
            self._wait_for(row)

    # -- the end --------------------------------------------------------------------------------------------------

    def _wait_for(self, row: OneOffRow) -> None:
        threading.Thread(target=self._watch, args=(row,), name=row.name, daemon=True).start()

    def _watch(self, row: OneOffRow) -> None:
        # From here on by a clock that nobody sets: it is not to end early, or never, because of the other one.
        until = time.monotonic() + (datetime.fromisoformat(row.expires) - datetime.now(UTC)).total_seconds()
        try:
            while not self._closing.is_set():
                left = until - time.monotonic()
                if left <= 0:
                    self.stop(row)
                    return
                if self._runtime.pid(row.id) is None or self._runtime.wait(row.id, min(left, _LOOK)) is not None:
                    self._finish(row)
                    return
        except PaasError as error:
            log.error("%s could not be ended: %s", row.name, error.message)

    def _finish(self, row: OneOffRow) -> None:
        """Keep the log, remove the rest. The row goes last: the next engine goes on where this one is killed. Whoever
        comes second waits, and finds nothing to do."""
        with self._finishing:
            if not oneoffs.exists(self._db, row.id):
                return
            self._runtime.put_away(row.id)
            app = apps.by_id(self._db, row.app)
            self._kept_logs.keep(
                self._runtime.log_path(row.id),
                id=row.id,
                app=row.app,
                release=app.release or 0,
                name=row.name,
                started=row.started,
            )
            reached("detached:log-kept")
            self._oneoff.linked.leave(row.id)
            self._runtime.remove(row.id)
            sandbox = self._held.pop(row.id, None)
            if sandbox is not None:
                self._sandboxes.release(sandbox)
            oneoffs.delete(self._db, row.id)
