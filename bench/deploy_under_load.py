"""Deploys while clients ask as fast as they are answered: how many requests are lost, and what waiting they cost.

Beside it the same app on the same machine as it is commonly done: processes behind Debian's nginx with the usual
headers, and for each deploy new processes, a rewritten `upstream`, `nginx -s reload`, and SIGTERM for the old ones when
nothing is open on them or after ten seconds. Every request is accounted for by the clients and, where it is a POST, by
the app, which writes its id down. A third of the connections each: GET and POST on kept connections, and a new
connection for each GET.

Usage, as root: .venv/bin/python bench/deploy_under_load.py [--minutes 0.25] [--clients 32] [--changes 0]
`--minutes`: how long each stretch of load lasts; `--changes N`: N changes of every kind in a row instead, with an
instance killed now and then (a POST that was in work on it is lost by that, and counted apart).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paas.system.run import Process
from tests.harness.apps import httpd, recorder
from tests.harness.load import Report
from tests.harness.waiting import wait_until
from tests.machine import Machine
from tests.traffic.visitors import Crowd, accounts

APP, OTHER = "busy", "other"
PLAIN_PORT = 8080
RECORD = "RECORD=/data/record"
_CONF = """
worker_processes auto; worker_rlimit_nofile 65536; pid {directory}/pid; error_log {directory}/error.log; user root;
events {{ worker_connections 8192; }}
http {{
    access_log {directory}/access.log;
    map $http_upgrade $wanted {{ default upgrade; '' ''; }}
    upstream app {{ {servers} keepalive 64; }}
    server {{
        listen {port} backlog=4096;
        location / {{
            proxy_pass http://app; proxy_http_version 1.1; gzip on;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $wanted;
            proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Port $server_port;
            proxy_set_header X-Request-Start $msec;
        }}
    }}
}}
"""


class Plain:
    """Debian's nginx with one `upstream`, inside the machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._directory = machine.disk / "plain"
        self._directory.mkdir()
        self._ports = itertools.count(21000)
        self._processes: list[tuple[int, Process]] = []
        self.record = self._directory / "record"

    def serve(self, *peers: str) -> None:
        """Serve these ADDRESS:PORT from now on."""
        servers = " ".join(f"server {peer};" for peer in peers)
        text = _CONF.format(directory=self._directory, servers=servers, port=PLAIN_PORT)
        (self._directory / "nginx.conf").write_text(text)
        reload = ["-s", "reload"] if (self._directory / "pid").exists() else []
        self._machine.run(["nginx", "-q", "-c", str(self._directory / "nginx.conf"), *reload])

    def deploy(self) -> None:
        """Two new processes in place of those that serve."""
        old, self._processes = self._processes, [self._start() for _ in range(2)]
        for port, _ in self._processes:
            wait_until(lambda port=port: self._listens(port), "it listens")  # type: ignore[misc]
        self.serve(*(f"127.0.0.1:{port}" for port, _ in self._processes))
        deadline = time.monotonic() + 10
        for port, process in old:
            while self._is_open(port) and time.monotonic() < deadline:
                time.sleep(0.2)
            self._machine.run(["sh", "-c", f"kill -TERM $(cat {self._directory}/{port})"], check=False)
            process.wait(20)

    def _start(self) -> tuple[int, Process]:
        port = next(self._ports)
        server = Path(__file__).resolve().parents[1] / "tests" / "harness" / "recorder.py"
        command = f"echo $$ > {self._directory}/{port}; exec /usr/bin/python3 -S -B {server}"
        environment = {"PORT": str(port), "RECORD": str(self.record), "RELEASE": str(port)}
        return port, self._machine.start(["sh", "-c", command], env=environment)

    def _listens(self, port: int) -> bool:
        return bool(self._machine.run(["ss", "-Hltn", f"sport = :{port}"]).text)

    def _is_open(self, port: int) -> bool:
        return bool(self._machine.run(["ss", "-Htn", "state", "established", f"sport = :{port}"]).text)


class Ours:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._releases = itertools.count(2)
        self.paas: Callable[..., object] = machine.paas
        self.host = f"{APP}.{machine.settings.domain}"
        self.record = machine.data_dir / "storage" / APP / "record"
        client = machine.client("bench", admin=True)
        for app in (APP, OTHER):
            machine.paas("apps:create", app)
        machine.paas("storage:ensure-directory", APP)
        machine.paas("storage:mount", APP, f"{APP}:/data")
        machine.paas("config:set", APP, RECORD, "RELEASE=1")
        machine.paas("ps:scale", APP, "web=2")
        client.repository(APP, recorder()).push(APP)
        client.repository(OTHER, httpd("other")).push(OTHER)

    def deploy(self) -> None:
        self.paas("config:set", APP, f"RELEASE={next(self._releases)}")

    def instances(self) -> list[str]:
        """ADDRESS:PORT of those that serve."""
        with sqlite3.connect(f"file:{self._machine.data_dir}/paas.db?mode=ro", uri=True) as db:
            rows = db.execute("SELECT address, port, app FROM instances WHERE state = 'running' AND app = 1").fetchall()
        return [f"{address}:{port}" for address, port, _ in rows]

    def change(self, number: int) -> str:
        """One of all kinds of changes, in turn; returns its name."""
        kinds: list[tuple[str, Callable[[], object]]] = [
            ("deploy", self.deploy),
            ("domain of another", lambda: self.paas("domains:add", OTHER, f"d{number}.example.com")),
            ("scale up", lambda: self.paas("ps:scale", APP, "web=3")),
            ("certificate of another", lambda: self.paas("certs:generate", OTHER, f"d{number}.example.com")),
            ("rollback", lambda: self.paas("releases:rollback", APP)),
            ("scale down", lambda: self.paas("ps:scale", APP, "web=1")),
            ("kill", self.kill),
            ("domain away", lambda: self.paas("domains:reset", OTHER)),
            ("restart", lambda: self.paas("ps:restart", APP)),
            ("certificate away", lambda: self.paas("certs:remove", OTHER)),
        ]
        name, job = kinds[number % len(kinds)]
        job()
        return name

    def kill(self) -> None:
        """SIGKILL for the servers of the app, and wait until it answers again."""
        token = f"/{self._machine.settings.cgroup}/"
        for process in Path("/proc").glob("[0-9]*"):
            try:
                is_ours = token in (process / "cgroup").read_text()
                if is_ours and (process / "cmdline").read_bytes().startswith(b"/usr/bin/python3\0"):
                    os.kill(int(process.name), 9)
            except OSError:
                continue
        wait_until(lambda: self._machine.get(self.host).status == 200, "it answers again")


def kinds(clients: int) -> list[str]:
    third = clients // 3
    return ["--get", str(clients - 2 * third), "--post", str(third), "--new", str(third)]


@contextmanager
def under(machine: Machine, host: str, port: int, clients: int, record: Path, name: str) -> Iterator[None]:
    """Load on a port while the block runs; its account is printed."""
    record.write_text("")
    with Crowd(machine.address, host, *kinds(clients), port=port) as crowd:
        yield
    lines = record.read_text().splitlines()
    show(name, crowd.report, lines)


def show(name: str, report: Report, lines: list[str]) -> None:
    lost = sum(report.lost.values())
    print(
        f"{name:34s} {report.requests:8d} requests {report.requests / report.seconds:7.0f}/s  lost {lost:5d}"
        f"  p50 {report.p50:6.2f}  p99 {report.p99:7.2f}  slowest {report.slowest:7.0f} ms"
    )
    if report.lost:
        print(f"{'':34s} {json.dumps(report.lost)}")
    if said := accounts(lines, report):
        print(f"{'':34s} the app's own account: {said}")
    sys.stdout.flush()


def speeds(machine: Machine, ours: Ours, plain: Plain, clients: int) -> None:
    """Requests per second of GETs on kept connections, through us and through a plain nginx, to the same instances."""
    plain.serve(*ours.instances())
    found: dict[int, list[float]] = {80: [], PLAIN_PORT: []}
    for _ in range(3):
        for port, rates in found.items():
            with Crowd(machine.address, ours.host, "--get", str(clients), port=port) as crowd:
                time.sleep(4)
            rates.append(crowd.report.requests / crowd.report.seconds)
    ratio = statistics.median(mine / theirs for mine, theirs in zip(found[80], found[PLAIN_PORT], strict=True))
    ours_, theirs = (statistics.median(rates) for rates in found.values())
    print(f"GET, {clients} kept connections: {ours_:.0f}/s, plain nginx in front of the same instances {theirs:.0f}/s")
    print(f"  ratio {ratio:.2f} (the median of three pairs)")


def repeat(job: Callable[[], object], seconds: float) -> int:
    """As often as it goes, twice a second at most."""
    end, times = time.monotonic() + seconds, 0
    while (begun := time.monotonic()) < end:
        job()
        times += 1
        time.sleep(max(0.0, 0.5 - (time.monotonic() - begun)))
    return times


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=0.25)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--changes", type=int, default=0)
    given = parser.parse_args()
    seconds = given.minutes * 60
    base = os.environ.get("PAAS_TEST_BASE")
    with Machine(disk=Path(base) if base else None) as machine:
        machine.engine_start()
        ours = Ours(machine)
        if given.changes:
            with under(machine, ours.host, 80, given.clients, ours.record, f"{given.changes} changes"):
                done = [ours.change(number) for number in range(given.changes)]
            print({name: done.count(name) for name in dict.fromkeys(done)})
            print(machine.run(["sh", "-c", "nstat -az TcpExtTCPReqQFullDrop TcpExtListenDrops 2>/dev/null"]).text)
            return
        plain = Plain(machine)
        speeds(machine, ours, plain, given.clients)
        with under(machine, ours.host, 80, given.clients, ours.record, "paas, no deploys"):
            time.sleep(seconds)
        with under(machine, ours.host, 80, given.clients, ours.record, "paas, deploys"):
            times = repeat(ours.deploy, seconds)
        print(f"{'':34s} {times} deploys")
        plain.deploy()
        with under(machine, ours.host, PLAIN_PORT, given.clients, plain.record, "nginx -s reload, no deploys"):
            time.sleep(seconds)
        with under(machine, ours.host, PLAIN_PORT, given.clients, plain.record, "nginx -s reload, deploys"):
            times = repeat(plain.deploy, seconds)
        print(f"{'':34s} {times} deploys")


if __name__ == "__main__":
    main()
