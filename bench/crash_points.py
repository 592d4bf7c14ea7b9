"""Kill the engine at every crash point that commands other than a push pass (tests/faults walks those of a push).

After each death the next engine starts; the app has to answer, nothing may be left over (tests/harness/leaks.py), and
the command has to work when it is given again. Prints a line for each command, with the points it was killed at.
Usage, as root: .venv/bin/python bench/crash_points.py [COMMAND...], all by default ("apps:destroy", "pull", ...)
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paas.system.run import Completed
from tests.harness.apps import busybox_root, httpd
from tests.harness.crashing import ALSO_ELSEWHERE, Action, CrashPoints, declared
from tests.harness.registry import config_of
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "walked"
PORT = 5000
PULLED = f"127.0.0.1:{PORT}/pulled:1"


class Commands:
    """What is walked. Each may be given again and again, whatever became of it before."""

    def __init__(self, points: CrashPoints) -> None:
        self.points = points
        self.machine = points.machine
        self.client = self.machine.client(admin=True)
        self.repository = self.client.repository(APP, httpd("walked"))
        self.repository.push(APP)
        self.number = 0
        context = self.machine.disk / "context"
        context.mkdir()
        (context / "root.tar").write_bytes(busybox_root())
        self.context = context

    def all(self) -> dict[str, Action]:
        return {
            "apps:create": lambda: self._ssh("apps:create", f"made-{self._next()}"),
            "apps:rename": self._rename,
            "domains:set": lambda: self._ssh("domains:set", APP, f"{APP}.paas.test", f"n{self._next()}.example.com"),
            "nginx:set": lambda: self._ssh("nginx:set", APP, "client-max-body-size", f"{self._next()}m"),
            "ps:stop": self._stop,
            "config:set": self._set,
            "an instance dies": self._strike,
            "apps:destroy": self._destroy,
            "rmi": self._remove,
            "pull": self._pull,
        }

    def check(self, point: str, done: Completed) -> None:
        if self._ssh("apps:exists", APP).status != 0:  # killed as another name was in force
            self._ssh("apps:rename", "renamed", APP)
        if self._ssh("ps:start", APP).status != 0:
            raise AssertionError(f"{APP} cannot be started")
        for name in self._ssh("apps:list").text.split():
            if name.startswith("gone-") and self._ssh("apps:destroy", name, "--force").status != 0:
                raise AssertionError(f"{name} cannot be destroyed after all")
        wait_until(lambda: self.machine.get(APP).text == "walked\n", f"{APP} serves")

    def _ssh(self, *command: str) -> Completed:
        return self.client.ssh(*command, check=False)

    def _next(self) -> int:
        self.number += 1
        return self.number

    def _rename(self) -> Completed:
        done = self._ssh("apps:rename", APP, "renamed")
        return self._ssh("apps:rename", "renamed", APP) if done.status == 0 else done

    def _stop(self) -> Completed:
        self._ssh("ps:start", APP)
        return self._ssh("ps:stop", APP)

    def _set(self) -> Completed:
        self._ssh("ps:stop", APP)
        return self._ssh("config:set", APP, f"NUMBER={self._next()}")

    def _strike(self) -> Completed:
        self._ssh("ps:start", APP)
        found = self.machine.run(["pgrep", "--full", "^/dev/init -- /bin/sh -c exec httpd"], check=False).text.split()
        return self.machine.run(["kill", "-9", *found])

    def _destroy(self) -> Completed:
        name = f"gone-{self._next()}"
        done = self.repository.push(name, check=False)
        return self._ssh("apps:destroy", name, "--force") if done.status == 0 else done

    def _remove(self) -> Completed:
        name = f"junk:{self._next()}"
        text = f"FROM scratch\nADD root.tar /\nRUN echo {name} >/www/name\n"
        (self.context / "Dockerfile").write_text(text)
        done = self.machine.paas("build", "--no-cache", "-t", name, str(self.context), check=False, timeout=120)
        if done.status == 0:
            done = self.machine.paas("rmi", "--force", name, check=False)
            self.machine.paas("builder:prune", check=False)
        return done

    def _pull(self) -> Completed:
        """Of an image that a registry in the machine has and nothing here shares a layer with."""
        if not self.machine.paas("images", "-q", PULLED).text:
            self._fill_registry()
        self.machine.paas("rmi", "--force", PULLED, check=False)
        return self.machine.paas("pull", PULLED, check=False)

    def _fill_registry(self) -> None:
        place = self.machine.disk / "registry"
        if place.exists():
            return
        place.mkdir()
        (place / "config.yml").write_text(config_of(place, PORT))
        self.machine.start(["docker-registry", "serve", str(place / "config.yml")])
        self.machine.paas("import", "-", PULLED, input=busybox_root())
        wait_until(lambda: self.machine.paas("push", PULLED, check=False).status == 0, "the registry has the image", 30)


def main() -> int:
    base = os.environ.get("PAAS_TEST_BASE")
    with Machine({"drain_timeout": "1", "ready_sandboxes": "2"}, disk=Path(base) if base else None) as machine:
        points = CrashPoints(machine)
        commands = Commands(points)
        commands.repository.commit({"index.html": "walked\n"}, "Another, or git pushes nothing")
        passed = points.passed(lambda: commands.repository.push(APP, check=False))
        points.walked |= set(passed) - ALSO_ELSEWHERE
        bad = 0
        actions = commands.all()
        for name in sys.argv[1:] or actions:
            before, began = set(points.walked), time.monotonic()
            try:
                points.walk(actions[name], commands.check)
                said = "all well"
            except AssertionError as error:
                bad, said = bad + 1, f"FAILED: {error}"
            new = points.walked - before
            print(f"{name}: {len(new)} points in {time.monotonic() - began:.0f} s, {said}: {' '.join(sorted(new))}")
            sys.stdout.flush()
        if not sys.argv[1:] and (missed := declared() - points.walked):
            bad += 1
            print(f"not passed by any of these: {' '.join(sorted(missed))}")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
