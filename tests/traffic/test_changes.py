"""What visitors notice of changes, of an app and of others: nothing is lost, nothing comes twice."""

from __future__ import annotations

from tests.harness.waiting import wait_until
from tests.traffic.conftest import SECURE, World
from tests.traffic.ledger import accounts
from tests.traffic.visitors import Crowd, Patient


def test_nothing_is_lost_while_everything_changes(world: World) -> None:
    world.forget()
    ssh, app, other = world.client.ssh, world.app, world.other
    patient = Patient(world.machine.address, world.host, SECURE)
    with Crowd(world.machine.address, world.host, "--get", "4", "--post", "4", "--new", "2", "--pace", "0.01") as crowd:
        patient.send("websocket", patient.websocket)
        patient.send("stream", lambda account: patient.stream(account, 8))
        patient.send("upload", lambda account: patient.upload(account, 20, 6))
        patient.send("slow head", patient.slow_head, again=True)
        patient.send("slow body", patient.slow_body, again=True)
        patient.send("slow reader", lambda account: patient.slow_reader(account, 1_000_000), again=True)
        patient.send("tls get", lambda account: patient.secure(account, "GET"), again=True)
        patient.send("tls post", lambda account: patient.secure(account, "POST"), again=True)
        patient.send("http/2", lambda account: patient.http2(account, 100, 20), again=True)
        ssh("config:set", app, "RELEASE=2")
        ssh("domains:add", other, "one.example.com")
        ssh("ps:scale", app, "web=3")
        ssh("certs:generate", other, "one.example.com")
        world.repository.commit({"note": "new code"})
        world.repository.push(app)
        ssh("ps:scale", app, "web=1")
        ssh("domains:remove", other, "one.example.com")
        ssh("releases:rollback", app)
        ssh("certs:remove", other)
        ssh("ps:restart", app)
        patient.end()
    assert not patient.complaints
    assert all(account.done for account in patient.accounts.values())
    assert not crowd.report.lost
    assert set(crowd.report.answers) == {"1", "2"} and crowd.report.requests > 500
    wait_until(lambda: ssh("ps:report", app).text.count("draining") == 0, "old instances have gone", 30)
    assert accounts(world.noted, crowd.report, *patient.accounts.values()) == ""
    assert world.noted.count("term 0") >= 5, "there were as many instances that ended"


def test_a_lone_instance_that_is_killed_is_waited_for(world: World) -> None:
    world.forget()
    machine, app = world.machine, world.app
    with Crowd(machine.address, world.host, "--get", "4", "--new", "4", "--post", "2", "--pace", "0.01") as crowd:
        for number in range(1, 3):
            _kill(world)
            wait_until(lambda n=number: f"restarted {n} times" in world.client.ssh("ps:report", app).text, "a restart")  # type: ignore[misc]
            wait_until(lambda: machine.get(app).status == 200, "it answers")
    # A POST that was in work cannot be asked again. A GET is, and fails only where each next connection that nginx has
    # kept was to the same instance. Without waiting everybody would fail, again and again, until an instance is back.
    lost = crowd.report.lost
    assert all(what.endswith(": status 502") for what in lost), lost
    assert sum(lost.values()) <= 2 * 10, "only what was in work at that moment"
    assert accounts(world.noted, crowd.report) == ""


def test_without_checks_the_old_instance_finishes_and_newcomers_wait(world: World) -> None:
    world.forget()
    world.client.ssh("checks:disable", world.app, "web")
    try:
        with Crowd(world.machine.address, world.host, "--get", "4", "--post", "4", "--pace", "0.01") as crowd:
            world.client.ssh("ps:restart", world.app)
    finally:
        world.client.ssh("checks:enable", world.app, "web")
    assert not crowd.report.lost
    assert "term 0" in world.noted and accounts(world.noted, crowd.report) == ""


def _kill(world: World) -> None:
    """SIGKILL for the server in each instance of the app."""
    machine = world.machine
    for line in machine.run(["ps", "-eo", "pid=,args="]).text.splitlines():
        pid, _, words = line.strip().partition(" ")
        if "/recorder.py" in words and words.strip().startswith("/usr/bin/python3"):
            machine.run(["kill", "-9", pid], check=False)  # its init ends with it
