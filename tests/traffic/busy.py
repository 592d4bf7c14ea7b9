"""An app with visitors of every kind while it is changed in every way, again and again; and what became of each."""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.harness.apps import httpd, recorder
from tests.harness.waiting import wait_until
from tests.machine import Machine
from tests.traffic.ledger import Account, Change, accounts, verdict
from tests.traffic.visitors import Crowd, Patient

APP, OTHER, SECURE = "busy", "other", "secure.example.com"
LIMIT = 45
"""Seconds an instance has to drain. Whatever visitors begin takes less, but for WebSockets."""


class Busy:
    """The app, with another one beside it, on a machine of its own."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._releases = itertools.count(2)
        self.host = f"{APP}.{machine.settings.domain}"
        self.record = machine.data_dir / "storage" / APP / "record"
        client = machine.client("bench", admin=True)
        for app in (APP, OTHER):
            machine.paas("apps:create", app)
        machine.paas("storage:ensure-directory", APP)
        machine.paas("storage:mount", APP, f"{APP}:/data")
        machine.paas("config:set", APP, "RECORD=/data/record", "RELEASE=1")
        machine.paas("ps:scale", APP, "web=2")
        client.repository(APP, recorder()).push(APP)
        client.repository(OTHER, httpd("other")).push(OTHER)

    def welcome_everybody(self) -> None:
        """Have what visitors of every kind need."""
        paas = self.machine.paas
        paas("domains:add", APP, SECURE)
        paas("certs:generate", APP, SECURE)
        paas("nginx:set", APP, "client-max-body-size", "300m")
        paas("nginx:set", APP, "proxy-request-buffering", "off")
        paas("checks:set", APP, "wait-to-retire", str(LIMIT))

    def deploy(self) -> None:
        self.machine.paas("config:set", APP, f"RELEASE={next(self._releases)}")

    def instances(self) -> list[str]:
        """ADDRESS:PORT of those that serve."""
        return [f"{address}:{port}" for _, address, port in self._serving()]

    def change(self, number: int) -> Change:
        """One of all kinds of changes, in turn."""
        paas = self.machine.paas
        kinds: list[tuple[str, Callable[[], object]]] = [
            ("deploy", self.deploy),
            ("domain of another", lambda: paas("domains:add", OTHER, f"d{number}.example.com")),
            ("scale up", lambda: paas("ps:scale", APP, "web=3")),
            ("kill", self.kill),
            ("certificate of another", lambda: paas("certs:generate", OTHER, f"d{number - 3}.example.com")),
            ("rollback", lambda: paas("releases:rollback", APP)),
            ("scale down", lambda: paas("ps:scale", APP, "web=1" if number % 20 < 10 else "web=2")),
            ("domain away", lambda: paas("domains:reset", OTHER)),
            ("restart", lambda: paas("ps:restart", APP)),
            ("certificate away", lambda: paas("certs:remove", OTHER)),
        ]
        name, job = kinds[number % len(kinds)]
        begun = time.time()
        job()
        return Change(name, begun, time.time())

    def kill(self) -> None:
        """SIGKILL for the server of one instance that serves; return when as many serve again."""
        before = self._serving()
        victim = before[0][0]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                is_its = victim in (process / "cgroup").read_text()
                if is_its and (process / "cmdline").read_bytes().startswith(b"/usr/bin/python3\0"):
                    os.kill(int(process.name), 9)
            except OSError:
                continue

        def replaced() -> bool:
            now = self._serving()
            return len(now) == len(before) and victim not in [id for id, *_ in now]

        wait_until(replaced, "another instance is in its place", 60)

    def _serving(self) -> list[tuple[str, str, int]]:
        with sqlite3.connect(f"file:{self.machine.data_dir}/paas.db?mode=ro", uri=True) as db:
            question = "SELECT instances.id, address, port FROM instances JOIN apps ON apps.id = app"
            return db.execute(f"{question} WHERE state = 'running' AND name = ?", (APP,)).fetchall()


def every_change(busy: Busy, changes: int, crowd_of: Sequence[str]) -> Iterator[str]:
    """Make so many changes in a row; lines that tell what became of everybody.

    What an instance has in work when it is killed is lost by nature, and a WebSocket that is open at the drain limit is
    ended: both are told apart from what is lost, by when it happened.
    """
    busy.welcome_everybody()
    busy.record.write_text("")
    patient = Patient(busy.machine.address, busy.host, SECURE)
    with Crowd(busy.machine.address, busy.host, *crowd_of) as crowd:
        for number in range(3):
            patient.send("stream of 30 s", lambda account: patient.stream(account, 30), again=True, after=10.0 * number)
        for number in range(2):
            patient.send("upload of 200 MB", lambda account: patient.upload(account, 200, 25), again=True, after=number)
        for _ in range(6):
            patient.send("WebSocket", patient.websocket, again=True)
        for _ in range(2):
            patient.send("slow head", patient.slow_head, again=True)
            patient.send("slow body", patient.slow_body, again=True)
            patient.send("slow reader", lambda account: patient.slow_reader(account, 2_000_000), again=True)
            patient.send("TLS, GET", lambda account: patient.secure(account, "GET"), again=True)
            patient.send("TLS, POST", lambda account: patient.secure(account, "POST"), again=True)
        patient.send("HTTP/2", lambda account: patient.http2(account, 400, 20), again=True)
        try:
            done = [busy.change(number) for number in range(changes)]
        finally:
            patient.end(120)
    yield f"{changes} changes: " + ", ".join(
        f"{sum(change.name == name for change in done)} {name}" for name in dict.fromkeys(each.name for each in done)
    )
    everybody = _by_kind(crowd) | patient.accounts
    yield f"{'':18s} {'done':>8s} {'lost':>6s} {'killed with their instance':>28s} {'at the drain limit':>20s}"
    cut = 0
    for kind, account in everybody.items():
        limit = LIMIT if kind == "WebSocket" else None
        verdicts = [verdict(when, done, limit) for when, _ in account.losses]
        counts = [verdicts.count(verdict) for verdict in ("lost", "killed", "limit")]
        cut += counts[2]
        yield f"{kind:18s} {account.done:8d} {counts[0]:6d} {counts[1]:28d} {counts[2]:20d}"
        for (when, why), said in zip(account.losses, verdicts, strict=True):
            if said == "lost":
                yield f"    {when - done[0].begun:.1f} s after the first change: {why}"
    lines = busy.record.read_text().splitlines()
    terms = [line for line in lines if line.startswith("term ")]
    yield f"{len(terms)} instances were told to stop, {len(terms) - terms.count('term 0')} of them at the drain limit"
    yield "the app's own account: " + (accounts(lines, crowd.report, *patient.accounts.values(), cut=cut) or "the same")


def _by_kind(crowd: Crowd) -> dict[str, Account]:
    found = {kind: Account(done=count) for kind, count in crowd.report.done.items()}
    for when, why in crowd.report.losses:
        found.setdefault(why.partition(":")[0], Account()).losses.append((when, why))
    return found
