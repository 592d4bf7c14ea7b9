"""system:report, what is the host's own business, and many pushes at once."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness.apps import httpd
from tests.machine import Machine

SECRET = "a-planted-secret-7c1f"


def test_the_report_tells_of_the_machine_and_holds_no_secret(machine: Machine) -> None:
    machine.paas("apps:create", "reported")
    machine.paas("config:set", "reported", f"KEY={SECRET}")
    try:
        text = machine.paas("system:report").text
        report = json.loads(machine.paas("system:report", "--format", "json").text)
    finally:
        machine.paas("apps:destroy", "reported", "--force")

    assert SECRET not in text and "reported" not in text and SECRET not in json.dumps(report)
    assert report["versions"]["crun"].startswith("crun version") and report["versions"]["nginx"]
    assert report["machine"]["kernel"] and report["machine"]["cgroups"] in ("v2", "v1", "hybrid")
    assert report["counts"]["apps"] >= 1 and report["counts"]["schema"] >= 9
    assert report["network"]["table"] is True and report["nginx"]["generations"] >= 1
    assert report["settings"]["domain"] == "paas.test"
    assert "system errors" in text


def test_only_admins_see_the_report(machine: Machine) -> None:
    client = machine.client("plain")
    try:
        assert client.ssh("system:report", check=False).status == 1
    finally:
        machine.paas("ssh-keys:remove", "plain")


def test_containers_do_not_inherit_what_the_engine_is_to_the_oom_killer(machine: Machine) -> None:
    score = Path(f"/proc/{machine.engine_pid}/oom_score_adj")
    before = score.read_text()
    score.write_text("500")  # upwards: below its start not every test host lets root go
    try:
        done = machine.paas("run", "--rm", "debian:bookworm", "cat", "/proc/self/oom_score_adj")
    finally:
        score.write_text(before)
    assert done.text.strip() == "0"


@pytest.mark.parametrize("name", ["setup", "upgrade", "uninstall"])
def test_what_changes_the_server_itself_is_not_done_over_ssh(machine: Machine, name: str) -> None:
    client = machine.client("remote", admin=True)
    try:
        refused = client.ssh(name, check=False)
    finally:
        machine.paas("ssh-keys:remove", "remote")
    assert refused.status == 1 and f"paas {name} --help" in refused.error
    assert f"Usage: paas {name}" in machine.paas(name, "--help").text


def test_ten_pushes_at_once_all_arrive_and_a_running_app_answers_meanwhile(machine: Machine) -> None:
    client = machine.client("crowd", admin=True)
    repositories = [client.repository(f"at-once-{number}", httpd(f"app {number}")) for number in range(10)]
    client.repository("bystander", httpd("still here")).push("bystander")
    end, answers = threading.Event(), list[int]()

    def ask() -> None:
        while not end.is_set():
            answers.append(machine.get("bystander").status)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda number: repositories[number].push(f"at-once-{number}"), range(10)))
        end.set()
        asker.join()
        assert [machine.get(f"at-once-{number}").text for number in range(10)] == [f"app {n}\n" for n in range(10)]
        assert answers and set(answers) == {200}
    finally:
        end.set()
        for name in ["bystander", *(f"at-once-{number}" for number in range(10))]:
            machine.paas("apps:destroy", name, "--force", check=False)
        machine.paas("ssh-keys:remove", "crowd")
