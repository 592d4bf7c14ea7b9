"""Killing the engine at each of its crash points (paas/faults.py), and what has to hold after that."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from paas.paths import PACKAGE
from paas.system.run import Completed
from tests.harness.leaks import assert_none
from tests.harness.nursery import Nursery
from tests.harness.waiting import wait_until
from tests.machine import Machine

_CALL = re.compile(r'\breached\("([a-z-]+:[a-z-]+)"\)')

ELSEWHERE = frozenset(
    [
        *("create:recorded", "create:created", "rename:recorded", "rename:logs-renamed", "rename:routed"),
        *("domains:changed", "domains:routed", "edge:saved", "edge:routed", "change:saved", "stop:recorded"),
        *("nginx:written", "nginx:started", "nginx:redirected", "nginx:noted"),
        *("destroy:recorded", "destroy:withdrawn", "destroy:instances-gone", "destroy:row-deleted"),
        *("destroy:deleted", "destroy:unrouted", "image:tagged", "layer:doomed"),
        *("restart:end-recorded", "restart:healthy", "restart:committed"),
        *("pull:downloaded", "pull:layer-kept", "certs:written", "page:written", "backup:copied"),
        *("clone:copied", "clone:settings-copied", "sync:adopted", "sync:ref-set"),
        *("rekey:key-added", "rekey:rewritten", "rekey:erased"),
        *("run:recorded", "run:starting", "run:started", "run:running", "end:put-away", "end:recorded"),
        *("rm:recorded", "rm:ended", "rm:forgotten", "volume:half-filled", "volume:filled", "volume:doomed"),
        *("detached:recorded", "detached:started", "detached:log-kept"),
    ]
)
"""Points that no push to an app passes that is there: bench/crash_points.py walks them."""
ALSO_ELSEWHERE = frozenset(
    [
        *("container:mounted", "container:cgroup-made", "container:conmon-started", "container:ended"),
        *("container:unmounted", "container:cgroup-removed", "sandbox:disconnected", "retire:stopped"),
        *("discard:put-away", "discard:log-kept", "discard:removed", "discard:sandbox-released", "discard:forgotten"),
    ]
)
"""Points that a push passes as `ps:stop` and a restart do. bench/crash_points.py walks them with these, which spares
the tests a third of their time."""

Action = Callable[[], Completed]


def declared() -> set[str]:
    """All points there are in the program."""
    return {point for file in PACKAGE.rglob("*.py") for point in _CALL.findall(file.read_text())}


class CrashPoints:
    """The engine of a machine without one: started, killed and started again."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.walked: set[str] = set()
        self._place = machine.disk / "faults"
        self._place.mkdir()
        self._nursery = Nursery(machine, {"PAAS_FAULTS": str(self._place)})
        self.start()

    def start(self) -> None:
        """Returns when the engine answers."""
        self._nursery.ask("serve")
        wait_until(lambda: self.machine.paas("version", check=False).status == 0, "the engine answers", 60)

    def check(self) -> None:
        """Nothing is left over, and the state is what there is."""
        assert_none(lambda: self._nursery.ask("leaks"))

    def objects(self) -> dict[str, int]:
        """How many of each class the engine's memory holds."""
        counts = (line.split(maxsplit=1) for line in self._nursery.ask("objects"))
        return {name: int(count) for count, name in counts}

    def passed(self, action: Action) -> list[str]:
        """Let an action succeed; returns the points that the engine passed, each once, in order."""
        log = self._place / "reached"
        log.unlink(missing_ok=True)
        done = action()
        assert done.status == 0, words(done)
        self.check()
        return list(dict.fromkeys(log.read_text().split()))

    def die(self, point: str, action: Action) -> Completed:
        """Have the engine die at a point that this action comes to; returns how it ended for whoever asked."""
        (self._place / "kill-at").write_text(point)
        done: list[Completed] = []
        asking = threading.Thread(target=lambda: done.append(action()))
        asking.start()
        status = wait_until(lambda: self._nursery.ask("ended"), f"the engine comes to {point}", 60)
        assert status == ["-9"]
        (self._place / "kill-at").unlink()
        asking.join(60)
        assert done, f"whoever asked waits on, although the engine died at {point}"
        self.walked.add(point)
        return done[0]

    def walk(self, action: Action, check: Callable[[str, Completed], None]) -> None:
        """Let the action succeed once; then die at each of its points in turn, but those walked before.

        After each `check(point, how the action ended)` is called, and nothing may be left over. Raises AssertionError
        with all that was wrong.
        """
        problems = []
        for point in [point for point in self.passed(action) if point not in self.walked]:
            done = self.die(point, action)
            self.start()
            try:
                check(point, done)
                self.check()
            except AssertionError as error:
                problems.append(f"{point}: {error}")
        assert not problems, "\n".join(problems)


def words(done: Completed) -> str:
    """What whoever asked was told."""
    return f"{done.text}{done.error}"
