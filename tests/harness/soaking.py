"""Random changes of random apps with random kills: what follows from a seed, step by step."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from paas.system.run import Process, TimeoutExpired
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.leaks import assert_none, leaks
from tests.harness.waiting import wait_until
from tests.machine import Machine

KILLS = ("engine", "conmon", "instance", "nginx", "front door")
ACTIONS = ("push", "push", "push", "config", "scale", "restart", "rollback", "domains", "anew")


@dataclass(slots=True)
class Known:
    """An app as it has to be."""

    name: str
    repository: Repository
    bodies: list[str]
    """Of all its releases, also of such as never came to be."""
    serves: set[str]
    """What it may answer with: one body, and those of pushes since that were struck."""


class Soak:
    def __init__(self, machine: Machine, seed: int, apps: int, kills: float) -> None:
        self.machine = machine
        self.client: Client = machine.client(admin=True)
        self._seed = seed
        self._kills = kills
        self.journal: list[str] = []
        """What each step was: its number, app, action, and what was killed meanwhile."""
        self._said = (machine.disk / "said").open("w+b")
        """What the last step's command has printed."""
        self.failed = 0
        self.killed = 0
        self.apps = []
        for number in range(apps):
            name = f"soak{number}"
            known = Known(name, self.client.repository(name, httpd(f"{name}-0")), [f"{name}-0"], {f"{name}-0"})
            known.repository.push(name)
            self.apps.append(known)

    def step(self, number: int) -> None:
        """Raises AssertionError when an app serves what it must not."""
        chance = random.Random(f"{self._seed} {number}")
        app, action = chance.choice(self.apps), chance.choice(ACTIONS)
        kill = chance.choice(KILLS) if chance.random() < self._kills else ""
        delay = chance.uniform(0.0, 0.6)
        self.journal.append(f"{number} {app.name} {action} {kill}".strip())
        self._said.seek(0)
        self._said.truncate()
        process = self._begin(chance, number, app, action)
        if kill:
            time.sleep(delay)
            self.kill(kill, chance)
            self.killed += 1
        try:
            status = process.wait(180)
        except TimeoutExpired:
            process.kill()
            raise AssertionError(f"step {number}: {action} of {app.name} has not ended") from None
        if status != 0:
            self._said.seek(0)
            said = self._said.read().decode(errors="replace")
            if (
                "is busy: the restart of" in said
            ):  # of what was killed in a step before; others wait for it by themselves
                status = self._destroy(app)
        if status != 0:
            self.failed += 1
            alone = action == "rollback" and "has no release before" in said
            assert kill or alone, f"step {number}: {action} of {app.name} failed although nothing was killed:\n{said}"
        self._settle(number, app, action, status)

    def _begin(self, chance: random.Random, number: int, app: Known, action: str) -> Process:
        match action:
            case "push":
                body = f"{app.name}-{number}"
                app.bodies.append(body)
                app.repository.commit({"index.html": f"{body}\n"})
                return app.repository.start_push(app.name, self._said.fileno())
            case "config":
                words = ["config:set", app.name, f"STEP={number}"]
            case "scale":
                words = ["ps:scale", app.name, f"web={chance.randint(1, 3)}"]
            case "restart":
                words = ["ps:restart", app.name]
            case "rollback":
                words = ["releases:rollback", app.name]
            case "domains":
                words = ["domains:set", app.name, f"{app.name}.paas.test", f"n{number}.example.com"]
            case _:
                words = ["apps:destroy", app.name, "--force"]
        return self.client.start(*words, output=self._said.fileno())

    def _destroy(self, app: Known) -> int:
        def done() -> bool:
            return self.client.ssh("apps:destroy", app.name, "--force", check=False).status == 0

        wait_until(done, f"{app.name} is destroyed", 60)
        return 0

    def _settle(self, number: int, app: Known, action: str, status: int) -> None:
        self._engine()
        if action == "anew":
            if status != 0 and self.client.ssh("apps:exists", app.name, check=False).status == 0:
                self.client.ssh("apps:destroy", app.name, "--force")
            body = f"{app.name}-{number}"
            app.repository.commit({"index.html": f"{body}\n"})
            app.repository.push(app.name)
            app.bodies, app.serves = [body], {body}
        elif action == "push":
            app.serves = {app.bodies[-1]} | (app.serves if status != 0 else set())
        elif action == "rollback":
            app.serves |= set(app.bodies)
        body = self._served(app, f"step {number}")
        if status == 0:
            app.serves = {body}
        other = random.Random(number).choice(self.apps)
        self._served(other, f"step {number}, which was not about it")

    def _served(self, app: Known, when: str) -> str:
        """The body an app answers with, once it does. Raises AssertionError when it is not the app's, or none comes."""

        def answered() -> str:
            try:
                answer = self.machine.get(app.name, timeout=2)
            except OSError:
                return ""
            assert answer.status != 200 or answer.text.strip() in app.serves, (
                f"{when}: {app.name} answers {answer.text!r} in place of {app.serves}"
            )
            return answer.text.strip() if answer.status == 200 else ""

        return wait_until(answered, f"{when}: {app.name} serves {app.serves}", 60)

    def kill(self, what: str, chance: random.Random) -> None:
        machine = self.machine
        if what == "engine":
            machine.engine_kill()
            machine.engine_start(timeout=120)
            return
        pattern = {
            "conmon": "^conmon ",
            "instance": "^/dev/init -- ",
            "nginx": "^nginx: ",
            "front door": " -m paas ssh$",
        }[what]
        found = machine.run(["pgrep", "--full", pattern], check=False).text.split()
        if what in ("conmon", "instance"):
            found = [chance.choice(found)] if found else []
        machine.run(["kill", "-9", *found], check=False)

    def _engine(self) -> None:
        wait_until(lambda: self.client.ssh("version", check=False).status == 0, "ssh answers", 60)

    def quiet(self) -> None:
        """Wait until nothing is left over, and look at every app."""
        assert_none(lambda: leaks(self.machine), 120)
        for app in self.apps:
            self._served(app, "all is quiet")

    def figures(self) -> dict[str, float]:
        """What is there: bytes and counts, by name."""
        machine, pid = self.machine, self.machine.engine_pid

        def run(*argv: str) -> str:
            return machine.run(argv, check=False).text

        door = run("pgrep", "--full", "--newest", "python -m paas ssh$").split()
        settings = machine.settings
        return {
            "instances": len(run("pgrep", "--full", "^conmon ").split()),
            "engine MB": _rss(Path(f"/proc/{pid}/status").read_text()),
            "door MB": _rss(run("cat", f"/proc/{door[0]}/status")) if door else 0.0,
            "fds": _count(f"/proc/{pid}/fd"),
            "threads": _count(f"/proc/{pid}/task"),
            "mounts": run("cat", "/proc/mounts").count("\n"),
            "links": run("ip", "-o", "link").count(f" {settings.link_prefix}"),
            "nft": run("nft", "list", "table", "inet", settings.nft_table).count("\n"),
            "cgroups": len(run("find", "/sys/fs/cgroup/memory/" + settings.cgroup, "-type", "d").split()),
            "processes": len(run("ps", "axo", "pid=").split()),
            "disk MB": float(run("du", "-sm", str(machine.data_dir)).split()[0]),
        }


def _count(directory: str) -> int:
    return sum(1 for _ in Path(directory).iterdir())


def _rss(status: str) -> float:
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
