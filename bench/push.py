"""From the start of `git push` to the first answer with the new content, for a one-line change of two examples.

Runs an engine of its own in a machine made of namespaces; a load of keep-alive requests, GET and POST, goes on through
all pushes, and every request must be answered. Usage, as root: .venv/bin/python bench/push.py [PUSHES]
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.machine import Machine

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
STAGES = ("build", "start", "check", "switch")
Times = dict[str, list[float]]


class Load:
    """Keep-alive connections that ask without a pause; `lost` are the requests that got no 200."""

    def __init__(self, address: str, host: str, connections: int) -> None:
        self._address = address
        self._host = host
        self._end = threading.Event()
        self.answered = 0
        self.lost: list[str] = []
        methods = [("GET", "POST")[number % 2] for number in range(connections)]
        self._threads = [threading.Thread(target=self._ask, args=(method,)) for method in methods]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, method: str) -> None:
        connection = http.client.HTTPConnection(self._address, 80, timeout=30)
        while not self._end.is_set():
            try:
                connection.request(method, "/", b"x" * 200 if method == "POST" else None, {"Host": self._host})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            if answer.status == 200:
                self.answered += 1
            else:
                self.lost.append(str(answer.status))


def main(pushes: int) -> None:
    with Machine() as machine:
        machine.engine_start()
        machine.paas("images:bootstrap", "debian:bookworm", timeout=600)
        client = machine.client(admin=True)
        bench(machine, client, "hello", "app.py", "Hello from paas", pushes, connections=4)
        machine.paas("apps:create", "wiki")
        machine.paas("storage:mount", "wiki", "wiki-data:/var/lib/dokuwiki/data")
        bench(machine, client, "wiki", "local.php", "A wiki on paas", pushes, connections=1)
        commands(machine, client, pushes)


def bench(machine: Machine, client: Client, app: str, file: str, word: str, pushes: int, connections: int) -> None:
    content = {str(f.relative_to(EXAMPLES / app)): f.read_bytes() for f in (EXAMPLES / app).rglob("*") if f.is_file()}
    repository = client.repository(app, content)
    repository.push(app, timeout=900)
    code = (EXAMPLES / app / file).read_text()
    times: Times = {}
    with Load(machine.address, f"{app}.{machine.settings.domain}", connections) as load:
        for number in range(pushes):
            mark = f"Mark {number} of {time.time_ns()}"
            repository.commit({file: code.replace(word, mark)})
            push(machine, client, repository, app, mark, times)
    print(f"\n{app}: {pushes} pushes of a one-line change, ms (median, worst)")
    for stage, values in times.items():
        print(f"  {stage:8s} {1000 * statistics.median(values):6.0f} {1000 * max(values):6.0f}")
    print(
        f"  {load.answered} requests on {connections} kept connections meanwhile, {len(load.lost)} lost {load.lost[:3]}"
    )


def push(machine: Machine, client: Client, repository: Repository, app: str, mark: str, times: Times) -> None:
    """One push, its stages added to `times`."""
    ssh = timed(lambda: client.ssh("version"))
    started = time.monotonic()
    pushing = threading.Thread(target=repository.push, args=(app,))
    pushing.start()
    wait_until(lambda: mark in machine.get(app).text, "the change answers", 60)
    live = time.monotonic() - started
    pushing.join()
    whole = time.monotonic() - started
    event = json.loads(client.ssh("events", app, "-n", "1", "--format", "json").text)[-1]["detail"].split()
    stages = {name: float(ms.removesuffix("ms")) / 1000 for name, _, ms in (w.partition("=") for w in event) if ms}
    rest = whole - ssh - sum(stages.values())
    for name, value in {"live": live, "ssh": ssh, "receive": rest, **{s: stages[s] for s in STAGES}}.items():
        times.setdefault(name, []).append(value)


def commands(machine: Machine, client: Client, times: int) -> None:
    """Changes of an app that runs, until the command has ended and the change is in force."""
    print("\ncommands, ms (median)")
    counter = iter(range(1_000_000))
    for name, job in (
        ("config:set", lambda: client.ssh("config:set", "hello", f"A={next(counter)}")),
        ("ps:restart", lambda: client.ssh("ps:restart", "hello")),
        ("apps:list", lambda: client.ssh("apps:list")),
    ):
        over_ssh = statistics.median(timed(job) for _ in range(times))
        print(f"  ssh {name:12s} {1000 * over_ssh:6.0f}")
    print(f"  ssh ps:scale web=3 {1000 * timed(lambda: client.ssh('ps:scale', 'hello', 'web=3')):4.0f}")
    local = statistics.median(timed(lambda: machine.paas("apps:list")) for _ in range(times))
    print(f"  paas apps:list (with nsenter) {1000 * local:.0f}")


def timed(job: Callable[[], object]) -> float:
    started = time.monotonic()
    job()
    return time.monotonic() - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 10)
