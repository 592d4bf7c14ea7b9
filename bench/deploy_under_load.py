"""Deploys while clients ask as fast as they are answered: how many requests are lost, and what waiting they cost.

Beside it the same app on the same machine as it is commonly done: processes behind Debian's nginx with the usual
headers, and for each deploy new processes, a rewritten `upstream`, `nginx -s reload`, and SIGTERM for the old ones when
nothing is open on them or after ten seconds. Every request is accounted for by the clients and, where it is a POST, by
the app, which writes its id down. A third of the connections each: GET and POST on kept connections, and a new
connection for each GET.

Usage, as root: .venv/bin/python bench/deploy_under_load.py [--minutes 0.25] [--clients 32] [--changes 0]
`--minutes`: how long each stretch of load lasts; `--changes N`: N changes of every kind in a row instead, with visitors
of every kind beside that crowd, and an instance killed now and then: see tests/traffic/busy.py.

The requests per second of one stretch say little on a busy machine. What nginx takes of the processors for a request
does: it is shown as well, for both.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paas.system.run import Process
from tests.harness.load import Report
from tests.harness.waiting import wait_until
from tests.machine import Machine
from tests.traffic.busy import Busy, every_change
from tests.traffic.ledger import accounts
from tests.traffic.visitors import Crowd

PLAIN_PORT = 8080
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
        self.directory = machine.disk / "plain"
        self.directory.mkdir()
        self._ports = itertools.count(21000)
        self._processes: list[tuple[int, Process]] = []
        self.record = self.directory / "record"

    def serve(self, *peers: str) -> None:
        """Serve these ADDRESS:PORT from now on."""
        servers = " ".join(f"server {peer};" for peer in peers)
        text = _CONF.format(directory=self.directory, servers=servers, port=PLAIN_PORT)
        (self.directory / "nginx.conf").write_text(text)
        reload = ["-s", "reload"] if (self.directory / "pid").exists() else []
        self._machine.run(["nginx", "-q", "-c", str(self.directory / "nginx.conf"), *reload])

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
            self._machine.run(["sh", "-c", f"kill -TERM $(cat {self.directory}/{port})"], check=False)
            process.wait(20)

    def _start(self) -> tuple[int, Process]:
        port = next(self._ports)
        server = Path(__file__).resolve().parents[1] / "tests" / "harness" / "recorder.py"
        command = f"echo $$ > {self.directory}/{port}; exec /usr/bin/python3 -S -B {server}"
        environment = {"PORT": str(port), "RECORD": str(self.record), "RELEASE": str(port)}
        return port, self._machine.start(["sh", "-c", command], env=environment)

    def _listens(self, port: int) -> bool:
        return bool(self._machine.run(["ss", "-Hltn", f"sport = :{port}"]).text)

    def _is_open(self, port: int) -> bool:
        return bool(self._machine.run(["ss", "-Htn", "state", "established", f"sport = :{port}"]).text)


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


def speeds(machine: Machine, ours: Busy, plain: Plain, clients: int) -> None:
    """GETs on kept connections, through us and through a plain nginx, to the same instances: how many each second, and
    what a request takes of the processors, the kernel's work for it included."""
    plain.serve(*ours.instances())
    places = {80: str(machine.run_dir), PLAIN_PORT: str(plain.directory)}
    rates, alone, both = [dict[int, list[float]]((port, []) for port in places) for _ in range(3)]
    for _ in range(5):
        for port, place in places.items():
            before = processor_seconds(machine, place)
            with Crowd(machine.address, ours.host, "--get", str(clients), port=port) as crowd:
                time.sleep(4)
            nginx, app = (now - then for now, then in zip(processor_seconds(machine, place), before, strict=True))
            requests = crowd.report.requests
            rates[port].append(requests / crowd.report.seconds)
            alone[port].append(nginx / requests * 10_000)
            both[port].append((nginx + app) / requests * 10_000)
    shown = (("/s", rates, 0), ("CPU seconds of nginx for 10,000", alone, 3), ("CPU seconds with the app's", both, 3))
    print(f"GET, {clients} kept connections")
    for what, found, digits in shown:
        mine, theirs = (statistics.median(found[port]) for port in places)
        ratio = statistics.median(a / b for a, b in zip(*found.values(), strict=True))
        print(f"    {what:32s} {mine:9.{digits}f}   plain nginx {theirs:9.{digits}f}   ratio {ratio:.2f}")
    sys.stdout.flush()


def processor_seconds(machine: Machine, place: str) -> tuple[float, float]:
    """Seconds of processors taken so far by the nginx processes whose masters were started with this path, and by the
    instances of the app."""
    token = f"/{machine.settings.cgroup}/"
    times, parents, masters, app = dict[str, float](), dict[str, str](), set[str](), 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            seconds = int((process / "schedstat").read_text().split()[0]) / 1e9
            if words.startswith(b"nginx: "):
                times[process.name] = seconds
                parents[process.name] = (process / "stat").read_text().rpartition(") ")[2].split()[1]
                if place.encode() in words:
                    masters.add(process.name)
            elif words.startswith(b"/usr/bin/python3\0") and token in (process / "cgroup").read_text():
                app += seconds
        except OSError:
            continue
    return sum(seconds for pid, seconds in times.items() if {pid, parents[pid]} & masters), app


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
        ours = Busy(machine)
        if given.changes:
            print("\n".join(every_change(ours, given.changes, kinds(given.clients))))
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
