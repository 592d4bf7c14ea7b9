"""An engine that is asked to end: what is at work is given up and says so, and what runs goes on."""

from __future__ import annotations

import threading

from paas.system.run import Completed
from tests.conftest import MachineMaker
from tests.harness.apps import httpd
from tests.harness.crashing import words
from tests.harness.leaks import assert_none, leaks
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "stopping"
NEVER = 'CMD ["/bin/sh", "-c", "sleep 296"]\n'


def test_a_deploy_is_given_up(new_machine: MachineMaker) -> None:
    machine = new_machine()
    client = machine.client()
    repository = client.repository(APP, httpd("one"))
    repository.push(APP)
    before = client.ssh("releases", APP, "--format", "json").text
    repository.commit({"Dockerfile": f"FROM scratch\nADD root.tar /\n{NEVER}"})
    done: list[Completed] = []
    pusher = threading.Thread(target=lambda: done.append(repository.push(APP, check=False)))
    pusher.start()
    wait_until(
        lambda: machine.run(["pgrep", "--full", "^sleep 296"], check=False).status == 0,
        "its instance is waited for",
        60,
    )
    assert machine.engine_stop() == 0
    pusher.join(60)
    assert done and done[0].status != 0
    assert "serving" in words(done[0]) and "unexpected disconnect" not in words(done[0])
    assert machine.get(APP).text == "one\n"
    assert machine.run(["pgrep", "--full", "^sleep 296"], check=False).status != 0, (
        "nothing is left of the new instance"
    )
    machine.engine_start()
    assert client.ssh("releases", APP, "--format", "json").text == before
    assert_none(lambda: leaks(machine))


def tries(machine: Machine) -> bool:
    return machine.run(["pgrep", "--full", "^sleep 296"], check=False).status == 0
