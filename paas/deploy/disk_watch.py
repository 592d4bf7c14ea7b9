"""The disk, which all share: whoever writes more to it than they may is stopped, and so is, before nothing is left for
anybody, whoever has taken most of it lately.

File systems with project quotas would refuse the write itself, but few hosts have them switched on. So sizes are
measured, by a process of its own and as the file system moves (see disk_growth); between two looks a writer may
pass its limit by what the disk takes in about a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from paas.deploy.disk_growth import PERIOD, Amount, Due, Gauge, Known, due, most_grown, step_of, stir_of
from paas.deploy.disk_writers import Bounded, Place, Writer, Writers
from paas.errors import PaasError
from paas.output import human_bytes
from paas.runtime.measuring import Measuring, Question
from paas.runtime.runtime import Runtime
from paas.state.apps import App
from paas.system.disk import Left
from paas.system.occupied import Bounds, Occupied

log = logging.getLogger(__name__)

_LOOK = 0.5
_SECONDS, _HURRY, _HURRY_IN_ALL = 10.0, 2.0, 8.0
"""That one directory may take; when nearly nothing is left, and all of them together then."""
_LEAST_GROWTH = 8
"""Who is stopped for want of room has grown by one in so many parts of what is left then."""


class DiskWatch:
    """A thread."""

    def __init__(
        self, left: Callable[[], Left], runtime: Runtime, writers: Writers, keep_reserve: Callable[[], None]
    ) -> None:
        """`left()` is what the file system has that all of this lies on, `keep_reserve()` takes up again what had to be
        given up of it when it was full."""
        self._left = left
        self._keep_reserve = keep_reserve
        self._runtime = runtime
        self._writers = writers
        self._closing = threading.Event()
        self._gauge = Gauge()
        self._known: dict[str, Known] = {}
        """By key of a place."""
        self._ceilings: dict[int, int] = {}
        """Bytes of storage, by app, beyond which its processes are stopped again."""
        self._begun = False
        """Whether all has been measured once. Who was over a limit before that, under a former engine, may be making
        room."""
        self._looked: tuple[float, Amount] | None = None
        """When all was looked at last, and what the gauge showed then."""
        self._alarm: Left | None = None
        """What was left when somebody was last looked for who is to be stopped."""
        self._written: dict[str, int] = {}
        self._more = False
        """Whether something is left to be measured."""

    def start(self) -> None:
        threading.Thread(target=self._run, name="disk", daemon=True).start()

    def close(self) -> None:
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(_LOOK):
            try:
                self.look()
            except (PaasError, OSError) as error:
                if not self._closing.is_set():
                    log.warning("the disk: %s", error)
            except Exception:
                log.exception("the disk could not be looked at")  # and is again: nobody else bounds it

    def look(self) -> None:
        left = self._left()
        moved = self._gauge.look(left)
        if left.is_critical:
            self._relieve(left)
            return
        self._alarm = None
        self._keep_reserve()
        now = time.monotonic()
        if self._looked is not None and not self._more:
            at, before = self._looked
            stir = stir_of(left)
            if now - at < PERIOD and not (moved - before).reaches(stir.bytes, stir.inodes):
                return
        self._review(left, moved, now)
        self._looked = now, moved
        self._begun = self._begun or not self._more

    # -- limits ---------------------------------------------------------------------------------------------------

    def _review(self, left: Left, moved: Amount, now: float) -> None:
        places = self._writers.places()
        self._forget(places)
        layers = [place for place in places if place.writer is not None]
        if self._looked is not None:
            born = Known(Amount(), Amount(), self._looked[1], now, measured=False)
            for place in layers:
                self._known.setdefault(place.key, born)
        step = step_of(left)
        states = {place.key: due(self._known.get(place.key), place.limit, moved, step, now) for place in layers}
        self._more = Due.SOON in states.values()
        now_due = [place for place in layers if states[place.key] is Due.NOW]
        found = self._measure([(place, _bounds(place.limit)) for place in now_due])
        for place in now_due:
            if place.key in found and place.writer is not None and place.limit is not None:
                self._judge(place.writer, place.limit, found[place.key])
        self._review_storage([place for place in places if place.writer is None], moved, step, now)

    def _review_storage(self, places: Sequence[Place], moved: Amount, step: int, now: float) -> None:
        """One directory at a time: each may take long, and writable layers are looked at in between."""
        bounded = self._writers.storage()
        waiting = []
        for place in places:
            known = self._known.get(place.key)
            rooms = [limit - self._taken(set(keys) - {place.key}) for _, keys, limit in bounded if place.key in keys]
            state = due(known, Amount(max(1, min(rooms))) if rooms else None, moved, step, now)
            if state is Due.NOW:
                waiting.append((known.at if known else 0.0, place))
            self._more = self._more or state is Due.SOON
        waiting.sort(key=lambda each: each[0])
        self._more = self._more or len(waiting) > 1
        if waiting and self._measure([(waiting[0][1], Bounds(seconds=_SECONDS))]):
            self._judge_storage(bounded)

    def _taken(self, keys: Iterable[str]) -> int:
        return sum(self._known[key].size.bytes for key in keys if key in self._known)

    def _judge(self, writer: Writer, limit: Amount, size: Occupied) -> None:
        if size.too_deep:
            self._writers.end(writer, "nested directories deeper than can be measured", again=True)
        elif limit.bytes and size.bytes > limit.bytes:
            why = f"wrote more than {human_bytes(limit.bytes)} to its own layer (resource:limit --disk)"
            self._writers.end(writer, why, again=True)
        elif limit.inodes and size.inodes > limit.inodes:
            why = f"made more than {limit.inodes} files in its own layer (resource:limit --inodes)"
            self._writers.end(writer, why, again=True)

    def _judge_storage(self, bounded: Iterable[Bounded]) -> None:
        """Who goes on writing beyond the limit is stopped; whoever starts the app again may make room."""
        for app, keys, limit in bounded:
            total = self._taken(keys)
            ceiling = max(limit, min(total, self._ceilings.get(app.id, limit)))
            self._ceilings[app.id] = max(ceiling, total)
            if total > ceiling and self._begun:
                why = f"was stopped: its storage has {human_bytes(total)} and may have {human_bytes(limit)}"
                self._stop_writers(app, keys, f"{why} (resource:limit --storage). Make room: run {app.name} rm ...")

    def _stop_writers(self, app: App, keys: Iterable[str], why: str) -> None:
        for writer in self._writers.of_storage(keys):
            if writer.app is not None and writer.app.id == app.id:
                self._writers.end(writer, why, again=False)

    # -- when nearly nothing is left ------------------------------------------------------------------------------

    def _relieve(self, left: Left) -> None:
        """Stop who has grown most. Whether that gives back anything or not, the next one has to grow on to be stopped:
        those that stand still are not to blame."""
        least = left.critical // _LEAST_GROWTH
        least_inodes = max(1, left.critical_inodes // _LEAST_GROWTH)
        last = self._alarm
        if last is not None and last.bytes - left.bytes < least and last.inodes - left.inodes < least_inodes:
            return
        self._alarm = left
        short_of_inodes = left.inodes < left.critical_inodes
        places = self._writers.places()
        self._forget(places)
        before = {key: known.before for key, known in self._known.items()}
        places.sort(key=lambda place: (place.writer is None, before.get(place.key, Amount()).inodes))
        found = self._measure([(place, Bounds(seconds=_HURRY)) for place in places], hurry=True)
        growth: dict[str, Amount] = {}
        for place in places:
            if place.key in found:
                size = self._known[place.key].size
                empty = Amount() if place.writer is not None else size
                growth[place.key] = size - before.get(place.key, empty)
                self._known[place.key] = Known(size, size, self._gauge.moved, time.monotonic())
        writers = {place.key: self._blamed(place) for place in places}
        written = self._hidden()
        by_apps = {key: amount for key, amount in growth.items() if any(w.app for w in writers[key])}
        for candidates in (by_apps, growth):
            key = most_grown(
                {key: amount for key, amount in candidates.items() if writers[key]},
                inodes=short_of_inodes,
                least=least_inodes if short_of_inodes else least,
            )
            if key is not None:
                amount = growth[key]
                took = f"{amount.inodes} files" if short_of_inodes else human_bytes(amount.bytes)
                self._stop_all(writers[key], left, f"it had taken {took} lately, more than any other")
                return
        key = most_grown({id: Amount(bytes) for id, bytes in written.items()}, inodes=False, least=least)
        if key is not None:
            self._stop_all([w for w in self._writers.running() if w.id == key], left, "it wrote most")
            return
        log.error("the disk is nearly full (%s left), and nothing that runs takes it up: system:df", left)

    def _stop_all(self, writers: Iterable[Writer], left: Left, because: str) -> None:
        for writer in writers:
            log.error("the disk is nearly full (%s left): %s is stopped, as %s", left, writer, because)
            why = f"was stopped: the disk of the machine was nearly full, and {because}"
            self._writers.end(writer, why, again=False)

    def _blamed(self, place: Place) -> list[Writer]:
        """Who writes there; of a directory that several mount, apps before others."""
        if place.writer is not None:
            return [place.writer]
        found = self._writers.of_storage([place.key])
        return [writer for writer in found if writer.app is not None] or found

    def _hidden(self) -> dict[str, int]:
        """Bytes that containers have written since this was asked last: what no walk finds, such as deleted files that
        nobody holds open by a descriptor."""
        last, self._written = self._written, {}
        for writer in self._writers.running():
            self._written[writer.id] = self._runtime.written(writer.id)
        return {id: bytes - last[id] for id, bytes in self._written.items() if id in last}

    # -- sizes ----------------------------------------------------------------------------------------------------

    def _measure(self, places: Sequence[tuple[Place, Bounds]], *, hurry: bool = False) -> Mapping[str, Occupied]:
        """What is found is known from then on. Others are left for later when the disk runs full meanwhile."""
        if not places:
            return {}
        moved, until = self._gauge.moved, time.monotonic() + _HURRY_IN_ALL
        with Measuring([self._question(place, bounds) for place, bounds in places]) as measuring:
            while not measuring.ended_within(_LOOK) and not self._closing.is_set():
                left = self._left()
                self._gauge.look(left)
                if time.monotonic() > until if hurry else left.is_critical:
                    break
            answers = measuring.answers()
        now = time.monotonic()
        found = {}
        for (place, _), answer in zip(places, answers, strict=False):
            found[place.key] = answer.found
            size, known = Amount(answer.found.bytes, answer.found.inodes), self._known.get(place.key)
            self._known[place.key] = Known(size, known.size if known else size, moved, now, answer.cost)
        return found

    def _question(self, place: Place, bounds: Bounds) -> Question:
        if place.writer is None:
            return Question(str(place.path), bounds)
        id = place.writer.id
        return Question(str(place.path), bounds, tuple(self._runtime.processes(id)), (str(self._runtime.root(id)),))

    def _forget(self, places: Iterable[Place]) -> None:
        present = {place.key for place in places}
        self._known = {key: known for key, known in self._known.items() if key in present}


def _bounds(limit: Amount | None) -> Bounds:
    return Bounds(limit.bytes or None, limit.inodes or None, _SECONDS) if limit else Bounds(seconds=_SECONDS)
