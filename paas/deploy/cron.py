"""Cron tasks: those of the release that serves, run by a timer of the engine in containers of their own.

Time is the host's local time. A minute in which no engine ran is not made up for; when the clock is set back, a task
does not run a second time within three hours, and the hour that comes twice in autumn counts once for tasks that do
not run every hour.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from paas.apps.properties import Properties, Property, boolean
from paas.apps.schedule import Schedule
from paas.declared import CronTask
from paas.deploy.oneoff import TIMED_OUT, OneOff
from paas.errors import Cancelled, Conflict, InvalidInput, NotFound, PaasError
from paas.model import Image, Release
from paas.names import brief, nearest, shown
from paas.paths import Paths
from paas.runtime.journal import Journal, Lines
from paas.state import apps, cron, releases
from paas.state.apps import App
from paas.state.database import Database

log = logging.getLogger(__name__)

NOUN = "cron"
LONGEST = 24 * 3600.0
"""Seconds after which a task is ended."""
_CATCH_UP = 5
"""Minutes that are made up for when the engine was held up, or the clock set ahead a little."""
_SET_BACK = 180
"""Minutes; a clock that is set back further is believed."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def _no_mail(text: str) -> str:
    raise InvalidInput("paas sends no mail", hint="What tasks print is kept: logs APP --ps cron")


PROPERTIES = [
    Property(NOUN, "maintenance", "let no cron task run for now", boolean, False),
    Property(NOUN, "mailto", "not supported: what tasks print is in the log of cron", _no_mail),
    Property(NOUN, "mailfrom", "not supported, likewise", _no_mail),
]


def id_of(app: str, task: CronTask) -> str:
    """As Dokku makes it: base 36 of app, command and schedule. It stays as long as these do."""
    number = int.from_bytes(f"{app}==={task.text}==={task.schedule}".encode())
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def short_id(id: str) -> str:
    """For a name of a container."""
    return hashlib.sha256(id.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Entry:
    """A task of an app as it stands."""

    app: App
    id: str
    task: CronTask
    suspended: bool
    maintenance: bool

    @property
    def is_off(self) -> bool:
        return self.suspended or self.maintenance


@dataclass(slots=True)
class _Running:
    key: tuple[int, str]
    cancel: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)


class Cron:
    def __init__(self, db: Database, paths: Paths, properties: Properties, oneoff: OneOff) -> None:
        self._db = db
        self._directory = paths.data / "cron"
        self._properties = properties
        self._oneoff = oneoff
        self._lock = threading.Lock()
        self._running: list[_Running] = []
        self._journals: dict[int, Journal] = {}
        self._closing = threading.Event()
        self._last = _minute()

    def start(self) -> None:
        threading.Thread(target=self._run, name="cron", daemon=True).start()

    def close(self) -> None:
        """End what runs: its output could not be kept any more."""
        self._closing.set()
        with self._lock:
            running = list(self._running)
        for each in running:
            each.over.wait(5)

    # -- what there is --------------------------------------------------------------------------------------------

    def entries(self, app: App) -> list[Entry]:
        release = releases.current(self._db, app)
        if release is None or not release.declared.cron:
            return []
        suspended = cron.suspended(self._db, app)
        off = bool(self._properties.value(NOUN, "maintenance", app))
        found = []
        for task in release.declared.cron:
            id = id_of(app.name, task)
            is_suspended = (task.schedule, task.text) in suspended
            found.append(Entry(app, id, task, is_suspended, off or task.maintenance))
        return found

    def find(self, app: App, id: str) -> Entry:
        """Raises NotFound, with near matches."""
        entries = self.entries(app)
        for entry in entries:
            if entry.id == id:
                return entry
        close = nearest(id, [entry.id for entry in entries])
        hint = f"Did you mean {close[0]}?" if close else f"cron:list {app.name} shows those that there are."
        raise NotFound(f"{app.name} has no cron task {shown(id)}", hint=hint)

    def suspend(self, entry: Entry, suspended: bool) -> None:
        key = (entry.task.schedule, entry.task.text)
        with self._db.transaction():
            present = cron.suspended(self._db, entry.app)
            cron.set_suspended(self._db, entry.app, present | {key} if suspended else present - {key})

    def journal(self, app: App) -> Journal:
        """What the app's tasks have printed."""
        with self._lock:
            return self._journals.setdefault(app.id, Journal(Path(self._directory, f"{app.id}.log")))

    def forget(self, app: App) -> None:
        """Of an app that is removed: end its tasks, drop what they printed."""
        with self._lock:
            running = [each for each in self._running if each.key[0] == app.id]
        for each in running:
            each.cancel.set()
        for each in running:
            each.over.wait(10)
        self.journal(app).remove()

    # -- running --------------------------------------------------------------------------------------------------

    def run(self, entry: Entry, output: Callable[[bytes], None], cancelled: Callable[[], bool]) -> int:
        """Run a task now, suspended or not; returns its exit status. Raises Conflict where its policy forbids it."""
        release, image = self._oneoff.serving(entry.app)
        running = self._admit(entry)
        if running is None:
            raise Conflict(f"{brief(entry.task.text)} runs already, and its concurrency_policy is forbid")
        return self._carry_out(running, entry, release, image, output, cancelled)

    def detach(self, entry: Entry) -> None:
        """Run a task behind. Raises Conflict as `run` does."""
        release, image = self._oneoff.serving(entry.app)
        running = self._admit(entry)
        if running is None:
            raise Conflict(f"{brief(entry.task.text)} runs already, and its concurrency_policy is forbid")

        def work() -> None:
            try:
                self._carry_out(running, entry, release, image, lambda data: None, lambda: False)
            except PaasError as error:
                log.info("cron task %s of %s: %s", short_id(entry.id), entry.app.name, error.message)

        threading.Thread(target=work, name=f"cron {entry.app.name}", daemon=True).start()

    def _admit(self, entry: Entry) -> _Running | None:
        """By its policy: None while it runs and may not run twice."""
        key = (entry.app.id, entry.id)
        with self._lock:
            before = [each for each in self._running if each.key == key]
            if before and entry.task.concurrency == "forbid":
                return None
            running = _Running(key)
            self._running.append(running)
        if entry.task.concurrency == "replace":
            for each in before:
                each.cancel.set()
            for each in before:
                each.over.wait(10)
        return running

    def _carry_out(
        self,
        running: _Running,
        entry: Entry,
        release: Release,
        image: Image,
        output: Callable[[bytes], None],
        cancelled: Callable[[], bool],
    ) -> int:
        name = f"cron.{short_id(entry.id)}"
        journal = self.journal(entry.app)
        lines = Lines(journal, f"[{brief(entry.task.text, 40)}] ")

        def both(data: bytes) -> None:
            lines.feed(data)
            output(data)

        def stopped() -> bool:
            return running.cancel.is_set() or self._closing.is_set() or cancelled()

        said = "was ended"
        try:
            status = self._oneoff.run(release, image, name, entry.task.command, both, stopped, limit=LONGEST)
            said = "took longer than a day and was ended" if status == TIMED_OUT else f"ended with status {status}"
            return status
        except Cancelled:
            raise
        except PaasError as error:
            said = f"could not be run: {error.message}"
            raise
        finally:
            lines.close()
            journal.write([f"[{brief(entry.task.text, 40)}] {said}"], "stderr")
            with self._lock:
                self._running.remove(running)
            running.over.set()

    # -- the timer ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing.wait(60 - time.time() % 60 + 0.05):
            try:
                for minute in due_minutes(self._last, _minute()):
                    self._at(minute)
                self._last = believed(self._last, _minute())
            except PaasError as error:
                log.error("cron: %s", error.message)
            except Exception:
                log.exception("cron")

    def _at(self, minute: int) -> None:
        local = datetime.fromtimestamp(minute * 60)
        for app in apps.listing(self._db):
            if app.release is None or app.stopped:
                continue
            for entry in self.entries(app):
                if not entry.is_off and is_due(Schedule(entry.task.schedule), local):
                    self._begin(entry)

    def _begin(self, entry: Entry) -> None:
        try:
            self.detach(entry)
        except Conflict as error:
            self.journal(entry.app).write([f"[{brief(entry.task.text, 40)}] not run: {error.message}"], "stderr")


def is_due(schedule: Schedule, local: datetime) -> bool:
    """Whether a task runs in a minute of local time; `fold` marks an hour that comes a second time."""
    return schedule.matches(local) and (schedule.every_hour or not local.fold)


def due_minutes(last: int, now: int) -> list[int]:
    """The minutes to look at, since the last that was: none when the clock was set back, and only the present one
    when it was set ahead."""
    if now <= last:
        return []
    return list(range(last + 1, now + 1)) if now - last <= _CATCH_UP else [now]


def believed(last: int, now: int) -> int:
    """The last minute that counts as looked at."""
    return now if now > last or last - now > _SET_BACK else last


def _minute() -> int:
    return int(time.time() // 60)
