"""What the engine remembers of changes: nothing, once they are done."""

from __future__ import annotations

from tests.conftest import MachineMaker
from tests.harness.apps import httpd
from tests.harness.crashing import CrashPoints

APP, OTHER = "grown", "passing"
BEFORE, ROUNDS = 2, 4
KINDS = ("paas.", "threading.", "_thread.", "_io.", "socket.", "subprocess.", "sqlite3.")
"""Modules whose objects are counted. Others come and go as modules are loaded and caches are filled."""
CACHED = {"sqlite3.Statement"}
"""Each connection keeps up to 128 of them."""


def test_no_objects_are_left_of_changes(new_machine: MachineMaker) -> None:
    points = CrashPoints(new_machine({"drain_timeout": "1"}, engine=False))
    machine = points.machine
    client = machine.client(admin=True)
    repository = client.repository(APP, httpd("0"))

    def change(number: int) -> None:
        repository.commit({"index.html": f"{number}\n"})
        repository.push(APP)
        client.ssh("config:set", APP, f"NUMBER={number}")
        client.ssh("domains:set", APP, f"{APP}.paas.test", f"n{number}.example.com")
        repository.push(OTHER)
        client.ssh("apps:destroy", OTHER, "--force")
        machine.paas("system:prune", "--force")
        assert machine.get(APP).text == f"{number}\n"
        points.check()

    for number in range(BEFORE):
        change(number)
    before = points.objects()
    for number in range(BEFORE, BEFORE + ROUNDS):
        change(number)
    after = points.objects()
    grown = {name: count - before.get(name, 0) for name, count in after.items()}
    counted = {name: more for name, more in grown.items() if name.startswith(KINDS) and name not in CACHED}
    kept = {name: more for name, more in counted.items() if more >= ROUNDS}
    assert not kept, kept
