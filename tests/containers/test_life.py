"""Containers from their start to their removal, observed from outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.containers.conftest import Paas, status
from tests.harness.apps import httpd
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine

SERVE = "echo hello >/www/index.html; exec httpd -f -p 80 -h /www"


def test_a_command_runs_to_its_end_with_its_streams_and_status(paas: Paas) -> None:
    done = paas("run", "--rm", "tiny:1", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.status, done.text, done.error) == (3, "out\n", "err")
    assert paas("run", "--rm", "-i", "tiny:1", "cat", input=b"through\n").text == "through\n"
    assert paas("run", "--rm", "tiny:1", "cat", input=b"not asked for").text == ""
    assert paas("ps", "-aq").text == ""


def test_much_output_arrives_whole(paas: Paas) -> None:
    done = paas("run", "--rm", "tiny:1", "seq", "1", "200000")
    assert done.text.splitlines() == [str(n) for n in range(1, 200001)]


def test_a_command_that_is_not_there_leaves_nothing(paas: Paas) -> None:
    done = paas("run", "--name", "none", "tiny:1", "nosuch", check=False)
    assert done.status == 127 and "no command nosuch" in done.error
    done = paas("run", "tiny:1", "/etc/passwd", check=False)
    assert done.status == 126
    assert paas("ps", "-aq").text == ""


def test_what_runs_behind_is_listed_stopped_and_started_with_what_it_wrote(paas: Paas, machine: Machine) -> None:
    id = paas("run", "-d", "--name", "shop", "-p", "8080:80", "tiny:1", "sh", "-c", SERVE).text.strip()
    assert len(id) == 64
    wait_until(lambda: _answers(machine, 8080), "it serves")
    assert machine.get("any", port=8080).text == machine.get_inside("any", port=8080).text == "hello\n"
    header, line = paas("ps").text.splitlines()
    assert header.split("   ")[0] == "CONTAINER ID"
    assert line.startswith(id[:12]) and '"sh -c echo hello >/…"' in line and "0.0.0.0:8080->80/tcp" in line
    assert status(paas, "shop").startswith("Up ")
    assert paas("port", "shop").text == "80/tcp -> 0.0.0.0:8080\n"
    paas("exec", "shop", "sh", "-c", "echo kept >/www/kept")

    assert paas("stop", "-t", "0", "shop").text == "shop\n"

    assert status(paas, "shop").startswith("Exited (137) ")
    assert paas("ps", "-q").text == ""
    assert not _answers(machine, 8080)
    paas("start", id[:4])
    wait_until(lambda: _answers(machine, 8080), "it serves again")
    assert machine.get("any", "/kept", port=8080).text == "kept\n"
    refused = paas("rm", "shop", check=False)
    assert refused.status == 1 and "rm -f shop" in refused.error
    paas("rm", "-f", "shop")
    assert paas("ps", "-aq").text == ""
    assert not _answers(machine, 8080)
    assert not (machine.data_dir / "containers" / id).exists()


def test_udp(paas: Paas, machine: Machine) -> None:
    paas("run", "-d", "--name", "udp", "-p", "5353:53/udp", "tiny:1", "sleep", "60")
    rules = machine.run(["nft", "list", "map", "inet", "paas", "forwards"]).text
    assert "udp . 5353 :" in rules and ". 53" in rules
    paas("rm", "-f", "udp")
    assert "5353" not in machine.run(["nft", "list", "map", "inet", "paas", "forwards"]).text


@pytest.mark.parametrize("port", ["80:1", "2222:1", "18000:1"])
def test_ports_of_the_platform_are_refused(paas: Paas, port: str) -> None:
    assert paas("run", "-d", "-p", port, "tiny:1", "sleep", "60", check=False).status == 1
    assert paas("ps", "-aq").text == ""


def test_a_taken_port_is_refused_naming_its_holder(paas: Paas, machine: Machine) -> None:
    paas("run", "-d", "--name", "first", "-p", "7001:1", "tiny:1", "sleep", "60")
    taken = paas("run", "-d", "-p", "7001:1", "tiny:1", "sleep", "60", check=False)
    assert taken.status == 1 and "container first" in taken.error
    paas("apps:create", "rival")
    try:
        taken = paas("ports:add", "rival", "tcp:7001:1", check=False)
        assert taken.status == 1 and "container first" in taken.error
        paas("ports:add", "rival", "tcp:7002:1")
        taken = paas("run", "-d", "-p", "7002:1", "tiny:1", "sleep", "60", check=False)
        assert taken.status == 1 and "app rival" in taken.error
    finally:
        paas("apps:destroy", "rival", "--force")
    server = machine.start(["busybox", "httpd", "-f", "-p", "7003", "-h", "/"])
    wait_until(lambda: machine.run(["ss", "-Hltn", "sport = :7003"]).text, "another program listens")
    taken = paas("run", "-d", "-p", "7003:1", "tiny:1", "sleep", "60", check=False)
    server.kill()
    server.wait()
    assert taken.status == 1 and "busybox (pid" in taken.error
    paas("stop", "-t", "0", "first")
    paas("run", "-d", "--name", "second", "-p", "7001:1", "tiny:1", "sleep", "60")
    taken = paas("start", "first", check=False)
    assert taken.status == 1 and "container second" in taken.error
    assert status(paas, "first").startswith("Exited (137)")


def test_two_runs_with_one_name(paas: Paas) -> None:
    results = _at_once(*[lambda: paas("run", "-d", "--name", "one", "tiny:1", "sleep", "60", check=False)] * 4)
    assert sorted(done.status for done in results) == [0, 1, 1, 1]
    assert all("The name one is taken" in done.error for done in results if done.status)
    assert paas("ps", "-q").text.count("\n") == 1


def test_a_removal_during_a_start(paas: Paas) -> None:
    for _ in range(5):
        paas("run", "--name", "short", "tiny:1", "echo")
        results = _at_once(
            lambda: paas("start", "short", check=False),
            lambda: paas("rm", "-f", "short", check=False),
            lambda: paas("stop", "-t", "0", "short", check=False),
        )
        assert results[1].status == 0
        assert paas("ps", "-aq").text == ""


def test_rm_ends_a_patient_stop(paas: Paas) -> None:
    paas("run", "-d", "--name", "stubborn", "tiny:1", "sleep", "600")  # the first process of a container ignores TERM
    _at_once(
        lambda: paas("stop", "-t", "50", "stubborn", check=False),
        lambda: wait_until(lambda: paas("rm", "-f", "stubborn", check=False).status == 0, "it is removed"),
    )
    assert status(paas, "stubborn") == ""


def test_the_signal_of_the_image_and_others(paas: Paas) -> None:
    script = "trap 'echo got hup' HUP; trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    paas("run", "-d", "--name", "polite", "tiny:1", "sh", "-c", script)
    wait_until(lambda: "ready" in paas("logs", "polite").text, "it is ready")
    paas("kill", "-s", "HUP", "polite")
    wait_until(lambda: "got hup" in paas("logs", "polite").text, "it got the signal")
    paas("stop", "polite")
    assert status(paas, "polite").startswith("Exited (9)")
    assert paas("logs", "--tail", "1", "polite").text == "bye\n"
    assert paas("kill", "polite", check=False).status == 1
    assert paas("kill", "-s", "NOSUCH", "polite", check=False).status == 1


def test_pause(paas: Paas) -> None:
    paas("run", "-d", "--name", "busy", "tiny:1", "sh", "-c", "while :; do echo x; sleep 0.05; done")
    paas("pause", "busy")
    assert status(paas, "busy").endswith("(Paused)")
    before = paas("logs", "busy").text
    assert paas("logs", "busy").text == before
    assert paas("exec", "busy", "true", check=False).status == 1
    paas("unpause", "busy")
    wait_until(lambda: paas("logs", "busy").text != before, "it goes on")
    paas("pause", "busy")
    paas("kill", "busy")
    assert status(paas, "busy").startswith("Exited (137)")


def test_wait_tells_the_status(paas: Paas) -> None:
    paas("run", "-d", "--name", "job", "tiny:1", "sh", "-c", "sleep 0.5; exit 4")
    assert paas("wait", "job").text == "4\n"
    assert paas("wait", "job").text == "4\n"


def test_names_and_ids(paas: Paas) -> None:
    first = paas("run", "-d", "tiny:1", "sleep", "60").text.strip()
    name = paas("ps").text.splitlines()[1].split()[-1]
    assert name.replace("_", "").isalnum() and "_" in name
    paas("rename", first[:6], "better")
    assert status(paas, "better")
    assert paas("run", "-d", "--name", "better", "tiny:1", "sleep", "60", check=False).status == 1
    missing = paas("stop", "bettr", check=False)
    assert missing.status == 1 and "Did you mean better?" in missing.error
    assert paas("run", "--name", "-x", "tiny:1", "echo", check=False).status == 1


def test_logs(paas: Paas) -> None:
    paas("run", "--name", "talks", "tiny:1", "sh", "-c", "echo one; echo two >&2; echo three")
    assert paas("logs", "talks").text == "one\nthree\n"
    assert paas("logs", "talks").error == "two"
    paas("run", "--name", "counts", "tiny:1", "seq", "1", "5")
    assert paas("logs", "-n", "1", "counts").text == paas("logs", "--tail", "1", "counts").text == "5\n"
    assert paas("logs", "--tail=2", "counts").text == "4\n5\n"
    assert paas("logs", "--since", "1h", "talks").text == "one\nthree\n"
    assert paas("logs", "--since", "2100-01-01T00:00:00Z", "talks").text == ""
    assert paas("logs", "-f", "talks").text == "one\nthree\n"
    paas("run", "-d", "--name", "later", "tiny:1", "sh", "-c", "sleep 0.5; echo late")
    assert paas("logs", "-f", "later").text == "late\n"


def test_what_only_admins_may(paas: Paas, keeper: Client, stranger: Client) -> None:
    id = keeper.ssh("run", "-d", "--name", "kept", "tiny:1", "sleep", "60").text.strip()
    for words in (["run", "tiny:1", "echo"], ["stop", "kept"], ["rm", "-f", "kept"], ["exec", "kept", "true"]):
        done = stranger.ssh(*words, check=False)
        assert done.status == 1 and ("needs the role admin" in done.error or "admin key" in done.error)
    assert id[:12] in stranger.ssh("ps").text
    assert keeper.ssh("run", "--rm", "-i", "tiny:1", "cat", input=b"over ssh").text == "over ssh"
    assert keeper.ssh("run", "--rm", "tiny:1", "sh", "-c", "exit 5", check=False).status == 5


def test_containers_of_apps_are_shown_and_left_to_their_app(paas: Paas, machine: Machine) -> None:
    machine.client("owner").repository("shown", httpd("one")).push("shown")
    try:
        line = next(line for line in paas("ps").text.splitlines() if "shown.web.1" in line)
        assert " Up " in line
        for verb, instead in (
            ("stop", "ps:stop shown"),
            ("rm", "ps:scale shown web"),
            ("kill", "ps:restart shown web"),
        ):
            done = paas(verb, "shown.web.1", check=False)
            assert done.status == 1 and instead in done.error
        assert paas("rename", "shown.web.1", "other", check=False).status == 1
        assert paas("exec", "shown.web.1", "cat", "/www/index.html").text == "one\n"
        flags = paas("run", "-d", "shown", "true", check=False)
        assert flags.status == 2 and "--detach is not for an app" in flags.error
        assert paas("run", "shown", "cat", "/www/index.html").text == "one\n"
        assert machine.get("shown").text == "one\n"
    finally:
        paas("apps:destroy", "shown", "--force")


def test_an_image_in_use_stays(paas: Paas, machine: Machine) -> None:
    place = machine.disk / "other-image"
    place.mkdir()
    (place / "Dockerfile").write_text("FROM tiny:1\nRUN echo first >/version\n")
    paas("build", "-t", "changing:1", str(place))
    paas("run", "--name", "old", "changing:1", "cat", "/version")
    (place / "Dockerfile").write_text("FROM tiny:1\nRUN echo second >/version\n")
    paas("build", "-t", "changing:1", "--no-cache", str(place))
    paas("builder:prune")
    paas("start", "old")
    wait_until(lambda: paas("logs", "old").text == "first\nfirst\n", "it runs upon the image it was made from")


def test_json(paas: Paas) -> None:
    paas("run", "-d", "--name", "data", "-p", "7005:5", "tiny:1", "sleep", "60")
    (entry,) = [each for each in json.loads(paas("ps", "--format", "json").text) if each["name"] == "data"]
    assert entry["command"] == ["sleep", "60"] and entry["state"] == "running" and entry["app"] is None


def _answers(machine: Machine, port: int) -> bool:
    try:
        return machine.get("any", port=port, timeout=2).status == 200
    except OSError:
        return False


def _at_once(*calls: Callable[[], Any]) -> list[Any]:
    with ThreadPoolExecutor(len(calls)) as workers:
        return [future.result() for future in [workers.submit(call) for call in calls]]
