"""Kill the engine at every crash point that commands other than a push pass (tests/faults walks those of a push).

After each death the next engine starts; the app has to answer, nothing may be left over (tests/harness/leaks.py), and
the command has to work when it is given again. Prints a line for each command, with the points it was killed at.
Usage, as root: .venv/bin/python bench/crash_points.py [COMMAND...], all by default ("apps:destroy", "pull", ...)
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
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
KEPT = "kept-"
"""How the names of containers begin that belong to no app, and of their volumes."""
STOCK = "stock:1"
AFRESH = {"cp", "run", "run:detached", "system:backups"}
"""What passes points of deploys with other containers, or what the engine passes by itself: it is walked whole."""
BY_ITSELF = {"backup:copied"}
"""Passed every day, and soon after the first start."""
PULLED = f"127.0.0.1:{PORT}/pulled:1"


class Commands:
    """What is walked. Each may be given again and again, whatever became of it before."""

    def __init__(self, points: CrashPoints) -> None:
        self.points = points
        self.machine = points.machine
        self.client = self.machine.client(admin=True)
        self.repository = self.client.repository(APP, httpd("walked"))
        self.repository.push(APP)
        self.machine.paas("import", "-", STOCK, input=busybox_root())
        self.number = 0
        context = self.machine.disk / "context"
        context.mkdir()
        (context / "root.tar").write_bytes(busybox_root())
        self.context = context

    def all(self) -> dict[str, Action]:
        return {
            "apps:clone": lambda: self._ssh("apps:clone", APP, f"gone-{self._next()}"),
            "apps:create": lambda: self._ssh("apps:create", f"made-{self._next()}"),
            "apps:rename": self._rename,
            "domains:set": lambda: self._ssh("domains:set", APP, f"{APP}.paas.test", f"n{self._next()}.example.com"),
            "nginx:set": lambda: self._ssh("nginx:set", APP, "client-max-body-size", f"{self._next()}m"),
            "ps:stop": self._stop,
            "config:set": self._set,
            "config:rotate-key": lambda: self._ssh("config:rotate-key"),
            "certs:generate": lambda: self._ssh("certs:generate", APP, f"n{self._next()}.example.com"),
            "maintenance:custom-page": self._set_page,
            "git:from-archive": self._deliver,
            "system:backups": lambda: self._ssh("system:backups", "--make"),
            "an instance dies": self._strike,
            "apps:destroy": self._destroy,
            "rmi": self._remove,
            "pull": self._pull,
            "cp": self._copy,
            "run": self._run,
            "run:detached": self._run_detached,
        }

    def check(self, point: str, done: Completed) -> None:
        if self._ssh("apps:exists", APP).status != 0:  # killed as another name was in force
            self._ssh("apps:rename", "renamed", APP)
        if self._ssh("ps:start", APP).status != 0:
            raise AssertionError(f"{APP} cannot be started")
        for name in self._ssh("apps:list").text.split():
            if name.startswith("gone-") and self._ssh("apps:destroy", name, "--force").status != 0:
                raise AssertionError(f"{name} cannot be destroyed after all")
        self._ssh("run:stop", APP)
        for name in self.machine.paas("ps", "--all", "--format", "{{.Names}}").text.split():
            if name.startswith(KEPT):
                self.machine.paas("rm", "--force", name)
        self.machine.paas("volume:prune", "--all", "--force")
        wait_until(lambda: self.machine.get(APP).text == "walked\n", f"{APP} serves")

    def _ssh(self, *command: str, input: bytes | None = None) -> Completed:
        return self.client.ssh(*command, check=False, input=input)

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
        self._ssh("ps:restart", APP)  # else it would be the next end of one that has ended often, and be waited for
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

    def _set_page(self) -> Completed:
        return self._ssh("maintenance:custom-page", APP, input=f"<p>{self._next()}</p>".encode())

    def _deliver(self) -> Completed:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, content in {**httpd("walked"), "number": str(self._next())}.items():
                data = content.encode() if isinstance(content, str) else content
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return self._ssh("git:from-archive", APP, "--", input=stream.getvalue())

    def _run(self) -> Completed:
        """A container with a volume, from its beginning to its removal."""
        name = f"{KEPT}{self._next()}"
        for words in (
            ("run", "--detach", "--name", name, "--volume", f"{name}:/etc", STOCK, "sleep", "300"),
            ("stop", "--time", "0", name),
            ("rm", name),
            ("volume:rm", name),
        ):
            done = self.machine.paas(*words, check=False)
            if done.status != 0:
                break
        return done

    def _copy(self) -> Completed:
        """Into a container that has ended."""
        name = f"{KEPT}{self._next()}"
        done = self.machine.paas("run", "--name", name, STOCK, "echo", "written", check=False)
        return self.machine.paas("cp", str(self.context), f"{name}:/root", check=False) if done.status == 0 else done

    def _run_detached(self) -> Completed:
        done = self._ssh("run:detached", APP, "sleep", "300")
        return self._ssh("run:stop", APP) if done.status == 0 else done

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
        points.walked |= set(passed) - ALSO_ELSEWHERE | BY_ITSELF
        bad = 0
        actions = commands.all()
        for name in sys.argv[1:] or actions:
            before, began = set(points.walked), time.monotonic()
            if name in AFRESH:
                points.walked.clear()
            try:
                points.walk(actions[name], commands.check)
                said = "all well"
            except AssertionError as error:
                bad, said = bad + 1, f"FAILED: {error}"
            new = points.walked - (set() if name in AFRESH else before)
            points.walked |= before
            print(f"{name}: {len(new)} points in {time.monotonic() - began:.0f} s, {said}: {' '.join(sorted(new))}")
            sys.stdout.flush()
        if not sys.argv[1:] and (missed := declared() - points.walked):
            bad += 1
            print(f"not passed by any of these: {' '.join(sorted(missed))}")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
