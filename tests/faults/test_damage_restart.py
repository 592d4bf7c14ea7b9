"""A restart of the machine: everything comes back, in order, and no hostname ever answers with another app."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.model import Instance, InstanceState
from paas.names import AppName, ProcessType
from paas.paths import PROJECT
from paas.schedulers.comeback import Comeback, Wants, needs
from paas.state.migrations import MIGRATIONS
from tests.harness.apps import httpd
from tests.harness.waiting import wait_until
from tests.machine import Machine

_APPS = ("alpha", "beta", "gamma", "delta")


class Visitors:
    """Ask all hostnames all the time, whether the machine is on or off."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._end = threading.Event()
        self.wrong: list[str] = []
        self.pages: set[str] = set()
        self.most = 0
        """Instances that were being started at once."""
        self._threads = [threading.Thread(target=self._ask, args=(app,)) for app in _APPS]
        self._threads.append(threading.Thread(target=self._count))

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _count(self) -> None:
        while not self._end.wait(0.005):
            self.most = max(self.most, _count(self._machine, "state = 'starting'"))

    def _ask(self, app: str) -> None:
        while not self._end.wait(0.01):
            try:
                answer = self._machine.get(app, timeout=2)
            except (OSError, ValueError):
                continue
            if not answer.headers.get("server", "").startswith("nginx"):
                continue  # the machine is off, and the address leads to somebody else's gateway
            if answer.status == 200 and answer.text != f"{app}\n":
                self.wrong.append(f"{app}: {answer.text}")
            elif answer.status != 200:
                title = re.search("<title>(.*)</title>", answer.text)
                self.pages.add(title[1] if title else f"{answer.status}")
                if title and app not in answer.text:
                    self.wrong.append(f"{app}: {answer.text}")


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine({"boot_concurrency": "2"}) as made:
        made.engine_start()
        client = made.client()
        made.paas("network:create", "inside")
        for app in _APPS:
            client.repository(app, httpd(app)).push(app)
        for app in ("alpha", "beta"):
            made.paas("network:set", app, "attach-post-create", "inside")
        made.paas("config:set", "alpha", "DATABASE=http://user:secret@beta.web:5000/x")
        made.paas("ps:scale", "gamma", "web=3")
        yield made


def test_what_others_need_comes_first_and_nobody_answers_for_another(machine: Machine) -> None:
    with Visitors(machine) as visitors:
        machine.power_off()
        machine.boot()
        machine.engine_start(60)
        wait_until(lambda: not _count(machine, "state <> 'running'"), "all run", 60)
        wait_until(lambda: all(_answers(machine, app) for app in _APPS), "all answer", 60)
    assert not visitors.wrong
    assert visitors.pages <= {"Starting", "Not answering"}, "or they wait"
    assert 1 <= visitors.most <= 2, "so many containers are started at once as the setting says"
    assert _started(machine, "beta") < _started(machine, "alpha")
    assert _count(machine, "1") == 6
    assert machine.paas("system:check").status == 0


def test_clocks_that_are_set_are_not_believed(machine: Machine) -> None:
    """An instance that ended right after its start waits longer before the next, whatever its row says of the time."""
    (id,) = _query(machine, "SELECT instances.id FROM instances JOIN apps ON apps.id = app WHERE name = 'delta'")[0]
    with sqlite3.connect(machine.data_dir / "paas.db") as db:
        db.execute("UPDATE instances SET started = '2001-01-01T00:00:00.000Z', restarts = 3 WHERE id = ?", (id,))
    machine.paas("enter", "delta", "web", "sh", "-c", "kill -9 2 3 4 5 6 7 8 9 2>/dev/null; true", check=False)
    wait_until(lambda: "restarted 4 times" in machine.paas("ps:report", "delta").text, "it is counted on")
    wait_until(lambda: _answers(machine, "delta"), "it answers again")
    assert "delta crash web.1 killed by signal 9" in " ".join(machine.paas("events").text.split())


def test_a_newer_version_takes_over_and_an_older_one_is_refused(machine: Machine) -> None:
    """Of another schema: containers are not restarted, and the database of before is kept."""
    wait_until(lambda: all(_answers(machine, app) for app in _APPS), "all answer", 30)
    before = _query(machine, "SELECT id FROM instances ORDER BY id")
    schema = len(MIGRATIONS)
    machine.engine_stop()
    machine.project = _newer_version(machine.disk / "newer")
    with Visitors(machine) as visitors:
        machine.engine_start(60)
        assert all(_answers(machine, app) for app in _APPS)
        assert _query(machine, "SELECT id FROM instances ORDER BY id") == before
        (backup,) = json.loads(machine.paas("system:backups", "--format", "json").text)[:1]
        assert (backup["reason"], backup["schema"]) == ("upgrade", schema)
        assert machine.paas("system:check").status == 0
        machine.engine_stop()

        machine.project = PROJECT
        (machine.data_dir / "scratch").mkdir(exist_ok=True)
        (machine.data_dir / "scratch" / "mark").touch()
        content = _dump(machine)
        words = rf"status 78:\n.*schema {schema + 1}, this one knows {schema}.*\n.*paas system:restore"
        with pytest.raises(AssertionError, match=words):
            machine.engine_start(60)
        assert _dump(machine) == content
        assert (machine.data_dir / "scratch" / "mark").exists()
        machine.project = machine.disk / "newer"
        machine.engine_start(60)
    assert not visitors.wrong and not visitors.pages


def _newer_version(place: Path) -> Path:
    """A copy of the program with one more step of the schema."""
    place.mkdir(mode=0o755)
    for name in ("paas", "hooks", "nginx-templates", "buildpacks"):
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (place / "paas" / "state" / "migrations.py").open("a") as file:
        file.write('\nMIGRATIONS = (*MIGRATIONS, "CREATE TABLE later (x INTEGER);")\n')
    return place


def test_the_order() -> None:
    inside, nowhere = frozenset({"inside"}), frozenset[str]()
    found = needs(
        {
            AppName("web"): Wants(inside, ("postgres://db.main:5432/x", "not-cache.web.example.com")),
            AppName("db"): Wants(inside, ()),
            AppName("cache"): Wants(inside, ("http://web.web",)),
            AppName("other"): Wants(nowhere, ("db.main",)),
        }
    )
    assert found == {"web": {"db"}, "db": frozenset(), "cache": {"web"}, "other": frozenset()}
    circle = needs({AppName("a"): Wants(inside, ("b.web",)), AppName("b"): Wants(inside, ("web.a",))})
    assert circle == {"a": frozenset(), "b": {"a"}}

    lost = [_instance(app, index) for app, index in (("web", 1), ("cache", 1), ("db", 1), ("db", 2))]
    comeback = Comeback(lost, found)
    assert [str(i.app) for i in comeback.begin()] == ["db", "db"]
    assert comeback.done(lost[2]) == []
    assert comeback.done(lost[3]) == [lost[0]]
    assert comeback.done(lost[0]) == [lost[1]]
    assert comeback.done(lost[1]) == []


def _instance(app: str, index: int) -> Instance:
    return Instance(
        f"{app}{index}", AppName(app), 1, ProcessType("web"), index, IPv4Address("10.0.0.1"), 80, InstanceState.CRASHED
    )


def _answers(machine: Machine, app: str) -> bool:
    try:
        return machine.get(app).text == f"{app}\n"
    except OSError:
        return False


def _query(machine: Machine, sql: str) -> list[tuple[str, ...]]:
    with sqlite3.connect(f"file:{machine.data_dir}/paas.db?mode=rw", uri=True, timeout=10) as db:
        return db.execute(sql).fetchall()


def _dump(machine: Machine) -> list[str]:
    """All that the database says."""
    with closing(sqlite3.connect(machine.data_dir / "paas.db")) as db:
        return [*db.iterdump(), str(db.execute("PRAGMA user_version").fetchone())]


def _count(machine: Machine, condition: str) -> int:
    return int(_query(machine, f"SELECT count(*) FROM instances WHERE {condition}")[0][0])


def _started(machine: Machine, app: str) -> str:
    return _query(machine, f"SELECT started FROM instances JOIN apps ON apps.id = app WHERE name = '{app}'")[0][0]
