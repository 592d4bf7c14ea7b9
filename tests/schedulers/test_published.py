"""What the network is told of instances, when several threads tell it and when it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from paas.errors import SystemFailure
from paas.model import WEB, Instance, InstanceState, Layer, PortMap, Process, Release
from paas.names import AppName
from paas.output import Discard, StreamOutput
from paas.runtime.runtime import Status
from paas.schedulers.base import Rollout
from paas.schedulers.local import LocalScheduler
from paas.schedulers.retire import Retirement
from paas.schedulers.services import Services
from paas.schedulers.supervise import Supervisor
from paas.settings import Settings
from paas.state import apps, images, releases
from paas.state.apps import App
from paas.state.database import Database
from paas.state.images import ImageRow
from paas.system.locks import NamedLocks
from tests.harness.waiting import wait_until

ADDRESS = IPv4Address("10.86.0.1")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(tmp_path / "db")
    yield db
    db.close()


@pytest.fixture
def app(db: Database) -> App:
    app = apps.insert(db, AppName("wiki"))
    instance = Instance("1" * 64, app.name, 1, WEB, 1, ADDRESS, 5000, InstanceState.RUNNING)
    releases.insert_instance(db, app, instance)
    return app


def test_who_reads_first_is_not_the_last_to_be_heard(db: Database, app: App) -> None:
    read: list[list[Instance]] = []
    told: list[list[Instance]] = []
    has_read, go_on = threading.Event(), threading.Event()

    class Slow(Services):
        def _serving(self, app: App) -> Any:
            found = super()._serving(app)
            if not has_read.is_set():
                has_read.set()
                go_on.wait(10)
            read.append(found[1])
            return found

    network = SimpleNamespace(
        set_service=lambda *_, **__: told.append(read[-1]),
        set_forwards=lambda _: None,
        set_linked=lambda *_: None,
    )
    services = Slow(Settings(), db, cast(Any, network), cast(Any, None))
    first = threading.Thread(target=services.publish, args=(app,))
    first.start()
    has_read.wait(10)
    releases.set_instance_state(db, "1" * 64, InstanceState.DRAINING)
    second = threading.Thread(target=services.publish, args=(app,))
    second.start()
    second.join(0.2)  # it would be through by then, if it did not wait
    go_on.set()
    first.join(10)
    second.join(10)
    assert told[-1] == [], "the instance that leaves gets no new connections"


class Failing:
    """A network that takes nothing before it is `well`."""

    def __init__(self) -> None:
        self.well = False
        self.asked = 0
        self.leads_to: list[IPv4Address] = []
        self.restore = self.set_forwards = self.set_linked = lambda *_: None

    def set_service(self, _: IPv4Address, ports: Any, *, hold: bool) -> None:
        self.asked += 1
        if not self.well:
            raise SystemFailure("not now")
        self.leads_to = [address for backends in ports.values() for address, _ in backends]


@pytest.fixture
def network() -> Failing:
    return Failing()


@pytest.fixture
def services(db: Database, network: Failing) -> Iterator[Services]:
    services = Services(Settings(), db, cast(Any, network), cast(Any, None))
    services.restore({})
    yield services
    services.close()


def test_an_end_leads_to_a_restart_although_the_network_fails(db: Database, app: App, services: Services) -> None:
    unused: Any = None
    runtime: Any = SimpleNamespace(status=lambda id: Status(False, 1), uptime=lambda id: 1.0)
    supervisor = Supervisor(
        db, unused, runtime, unused, unused, services, unused, NamedLocks(), lambda app: None, at_once=1
    )
    try:
        supervisor.ended("1" * 64)
        # There is no release, so the restart fails: that counts as another one.
        wait_until(lambda: releases.instances(db, app)[0].restarts > 1, "it is tried")
    finally:
        supervisor.close()


def test_a_deploy_that_the_network_fails_is_followed_later_and_only_then_old_instances_end(
    db: Database, app: App, services: Services, network: Failing, capfd: pytest.CaptureFixture[str]
) -> None:
    port = PortMap("http", 80, 5000)
    release = Release(app.name, 1, "image", {}, (Process(WEB, 1),), (port,), (), "", "", "", "")
    nothing_runs = replace(release, number=2, processes=())
    _insert_image(db)
    for each in (release, nothing_runs):
        releases.insert(db, app, each)
    ended: list[str] = []
    unused: Any = None
    runtime: Any = SimpleNamespace(pid=lambda id: None, stop=lambda id, grace: ended.append(id))
    booter: Any = SimpleNamespace(
        stop_timeout=lambda instance: 0, discard=lambda instance: releases.delete_instance(db, instance.id)
    )
    checks: Any = SimpleNamespace(wait_healthy=lambda *_: None)
    retirement = Retirement(Settings(), db, runtime, booter, services)
    scheduler = LocalScheduler(db, runtime, booter, checks, services, retirement, lambda app: None)
    scheduler.rollout(Rollout(app, nothing_runs, unused), StreamOutput(1, 2), lambda: False)
    assert "The network does not lead to release 2 yet" in capfd.readouterr().err
    assert releases.current(db, apps.by_id(db, app.id)) == nothing_runs
    wait_until(lambda: network.asked > 1, "it is tried again, which takes longer than an instance's end")
    assert ended == [], "who the network may lead to goes on"
    network.well = True
    wait_until(lambda: releases.instances(db, app) == [], "the old instance has gone")
    assert ended == ["1" * 64] and network.leads_to == []


def test_nobody_ends_before_the_network_is_ours(db: Database, app: App, network: Failing) -> None:
    asked: list[int] = []

    class Asked(Services):
        def in_force(self, app: int) -> bool:
            asked.append(app)
            return super().in_force(app)

    services = Asked(Settings(), db, cast(Any, network), cast(Any, None))
    releases.set_instance_state(db, "1" * 64, InstanceState.DRAINING)
    ended: list[str] = []
    runtime: Any = SimpleNamespace(pid=lambda id: None, stop=lambda id, grace: ended.append(id))
    booter: Any = SimpleNamespace(
        stop_timeout=lambda instance: 0, discard=lambda instance: releases.delete_instance(db, instance.id)
    )
    retirement = Retirement(Settings(), db, runtime, booter, services)
    retirement.retire([row.instance for row in releases.instances(db, app)])
    wait_until(lambda: len(asked) > 2, "it looks again")  # a former engine may have died before it led anybody past
    assert ended == []
    services.restore({})
    wait_until(lambda: releases.instances(db, app) == [], "the instance has gone")


def test_what_runs_on_a_damaged_layer_is_replaced_also_by_the_next_engine(tmp_path: Path) -> None:
    unused: Any = None

    def kept(db: Database) -> list[str]:
        scheduler = LocalScheduler(db, unused, allowing, unused, unused, unused, lambda app: None)
        rollout = Rollout(apps.get(db, AppName("wiki")), release, unused)
        return [instance.id for instance in scheduler._plan(rollout, ExitStack()).keep]

    allowing: Any = SimpleNamespace(allowance=lambda *_: None)
    release = Release(AppName("wiki"), 1, "image", {}, (Process(WEB, 1),), (), (), "", "", "", "")
    db = Database(tmp_path / "db")
    layer = _insert_image(db)
    app = apps.insert(db, AppName("wiki"))
    releases.insert(db, app, release)
    releases.insert_instance(db, app, Instance("1" * 64, app.name, 1, WEB, 1, ADDRESS, 5000, InstanceState.RUNNING))
    assert kept(db) == ["1" * 64]
    LocalScheduler(db, unused, allowing, unused, unused, unused, lambda app: None).replace_later(layer)
    db.close()
    db = Database(tmp_path / "db")
    assert kept(db) == []
    db.close()


def test_instances_that_could_not_be_ended_get_connections_again(db: Database, app: App) -> None:
    leaving: set[str] = set()
    published: list[set[str]] = []

    def fail(*_: object, **__: object) -> None:
        raise SystemFailure("it does not end")

    services: Any = SimpleNamespace(
        hold=0.0,
        set_leaving=lambda id, on: leaving.add(id) if on else leaving.discard(id),
        publish=lambda app: published.append(set(leaving)),
        publish_or_later=lambda app: published.append(set(leaving)),
    )
    unused: Any = None
    runtime: Any = SimpleNamespace(pid=lambda id: 1, stop=fail)
    booter: Any = SimpleNamespace(stop_timeout=lambda instance: 1)
    retirement: Any = SimpleNamespace(drained=lambda *_: True)
    scheduler = LocalScheduler(db, runtime, booter, unused, services, retirement, lambda app: None)
    instances = [row.instance for row in releases.instances(db, app)]
    with pytest.raises(SystemFailure), ExitStack() as undo:
        scheduler._end_first(app, instances, Discard(), undo)
    assert published == [{"1" * 64}, set()]


def test_the_whole_is_what_is_told_app_by_app(db: Database, app: App) -> None:
    told: dict[IPv4Address, Any] = {}
    whole: list[Any] = []
    network = SimpleNamespace(
        set_service=lambda address, backends, hold: told.update({address: (backends, hold)}),
        set_forwards=lambda _: None,
        set_linked=lambda *_: None,
        restore=whole.append,
    )
    services = Services(Settings(), db, cast(Any, network), cast(Any, None))
    db.execute("INSERT INTO images (id, config, history, architecture, created) VALUES ('', '', '', '', '')")
    ports = '[["http", 80, 5000], ["tcp", 25, 2525]]'
    for number, state in enumerate(("running", "crashed", "starting", "ended"), start=2):
        other = apps.insert(db, AppName(f"app-{number}"))
        db.execute(
            "INSERT INTO releases (app, number, image, config, processes, ports, mounts, git_commit, created, who, why)"
            " VALUES (?, 1, '', '', '', ?, '', '', '', '', '')",
            (other.id, ports),
        )
        releases.set_current(db, other, 1)
        for index in (1, 2):
            id, address = f"{number}{index}" * 32, ADDRESS + 10 * number + index
            made = Instance(id, other.name, 1, WEB, index, address, 5000, InstanceState(state))
            releases.insert_instance(db, other, made)
    releases.set_unready(db, "21" * 32, {"ready": "no"})
    for each in apps.listing(db):
        services.publish(each)
    services.restore({})
    (state,) = whole
    held = {address for address, _ in state.held}
    assert {address: (found, address in held) for address, found in state.services.items()} == told
    serving = [(ADDRESS + 22, 5000)]
    assert sorted(len(found.get(80, ())) for found, _ in told.values()) == [0, 0, 0, 0, 1]
    assert [found[80] for found, _ in told.values() if found.get(80)] == [serving] and len(held) == 1
    assert [forward.address for forward in state.forwards] == [ADDRESS + 22]


def test_a_switch_of_one_app_reads_no_rows_of_the_others(db: Database, app: App) -> None:
    network: Any = SimpleNamespace(
        set_service=lambda *_, **__: None, set_forwards=lambda _: None, set_linked=lambda *_: None
    )
    services = Services(Settings(), db, network, cast(Any, None))
    services.publish(app)
    statements: list[str] = []
    db._connection.set_trace_callback(statements.append)
    services.publish(app)
    db._connection.set_trace_callback(None)
    plans = [row["detail"] for text in statements for row in db.query(f"EXPLAIN QUERY PLAN {text}")]
    assert len(statements) > 2 and not [plan for plan in plans if plan.startswith("SCAN")]


def _insert_image(db: Database) -> Layer:
    """One with the id `image`; returns its layer."""
    layer = images.insert_layer(db, "sha256:1", 0, None, settled=True)
    images.insert_image(db, ImageRow("image", "{}", "[]", "amd64", "", (layer,)))
    return layer
