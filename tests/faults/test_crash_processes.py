"""`kill -9` of everything but the engine: noticed, replaced, and nothing is left of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.system.run import Completed
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.crashing import words
from tests.harness.leaks import assert_none, leaks
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "struck"
OTHER = "bystander"
SLOW = str(httpd("")["Dockerfile"]).replace("COPY", "RUN echo begun; sleep 297\nCOPY")


@pytest.fixture(scope="module")
def struck(base_disk: Path) -> Iterator[Machine]:
    with Machine({"drain_timeout": "1"}, disk=base_disk) as machine:
        machine.engine_start()
        yield machine
        assert_none(lambda: leaks(machine))


@pytest.fixture(scope="module")
def client(struck: Machine) -> Client:
    return struck.client()


@pytest.fixture(scope="module")
def repository(client: Client) -> Repository:
    repository = client.repository(APP, httpd("0"))
    repository.push(APP)
    return repository


@pytest.fixture(scope="module")
def other(client: Client) -> str:
    client.repository(OTHER, httpd(OTHER)).push(OTHER)
    return OTHER


def pids(machine: Machine, pattern: str) -> list[str]:
    """Those whose command line matches, the youngest last."""
    return machine.run(["pgrep", "--full", pattern], check=False).text.split()


def strike(machine: Machine, pattern: str, *, of: str = "") -> None:
    """Kill all whose command line matches; of one container, if that is given."""
    found = wait_until(lambda: pids(machine, pattern), f"{pattern} runs", 30)
    if of:
        files = [f"/proc/{pid}/cgroup" for pid in found]
        listed = machine.run(["grep", "--files-with-matches", of, *files], check=False)
        found = [line.split("/")[2] for line in listed.text.splitlines()] or found
    machine.run(["kill", "-9", *found], check=False)


def instance(machine: Machine, app: str = APP) -> str:
    """The container that serves an app."""
    return machine.paas("ps:inspect", app).text.partition('"Id": "')[2].partition('"')[0]


def struck_push(machine: Machine, repository: Repository, pattern: str) -> Completed:
    """Push what takes long to build, and kill something when it does; returns how the push ended."""
    repository.commit({"Dockerfile": SLOW.replace("begun", f"begun {time.monotonic()}")})
    done: list[Completed] = []
    pusher = threading.Thread(target=lambda: done.append(repository.push(APP, check=False)))
    pusher.start()
    wait_until(lambda: pids(machine, "^sleep 297"), "the step runs", 60)
    strike(machine, pattern)
    pusher.join(60)
    assert done and done[0].status != 0
    wait_until(lambda: not pids(machine, "^sleep 297"), "the step is ended", 30)
    return done[0]


def push_again(machine: Machine, repository: Repository, body: str) -> None:
    """After a push that failed: what was there serves, nothing is left, and the next push works."""
    assert_none(lambda: leaks(machine))
    repository.commit({"Dockerfile": httpd("")["Dockerfile"], "index.html": f"{body}\n"})
    repository.push(APP)
    assert machine.get(APP).text == f"{body}\n"


def test_the_front_door(struck: Machine, client: Client, repository: Repository) -> None:
    before = struck.get(APP).text
    struck_push(struck, repository, " -m paas ssh$")
    assert struck.get(APP).text == before
    wait_until(lambda: client.ssh("version", check=False).status == 0, "ssh answers again", 20)
    push_again(struck, repository, "door")


@pytest.mark.parametrize("name", ["git receive-pack", "hooks/pre-receive"])
def test_git_in_a_push(struck: Machine, repository: Repository, name: str) -> None:
    before = struck.get(APP).text
    struck_push(struck, repository, name)
    assert struck.get(APP).text == before
    push_again(struck, repository, name)


@pytest.mark.parametrize("name", ["crun .* run --bundle", "^sleep 297"])
def test_the_runtime_of_a_build_step(struck: Machine, repository: Repository, name: str) -> None:
    before = struck.get(APP).text
    done = struck_push(struck, repository, name)
    assert "failed" in words(done)
    assert struck.get(APP).text == before
    push_again(struck, repository, name)


@pytest.mark.parametrize("pattern", ["conmon .*--cid {id}", "^/dev/init -- /bin/sh -c exec httpd", "^httpd "])
def test_an_instance(struck: Machine, repository: Repository, other: str, pattern: str) -> None:
    """Its monitor, its init, its program; and nobody else's."""
    id, bystander = instance(struck), instance(struck, other)
    strike(struck, pattern.format(id=id), of=id)
    wait_until(lambda: instance(struck) not in (id, ""), "another instance serves", 30)
    wait_until(lambda: struck.get(APP).status == 200, "the app answers")
    assert struck.get(other).text == f"{other}\n"
    assert instance(struck, other) == bystander
    assert_none(lambda: leaks(struck))


@pytest.mark.parametrize("pattern", ["^nginx: master", "^nginx: worker", "^nginx: "])
def test_nginx(struck: Machine, repository: Repository, other: str, pattern: str) -> None:
    before = instance(struck), instance(struck, other)
    strike(struck, pattern)
    wait_until(lambda: answers(struck, APP) and answers(struck, other), "nginx serves again")
    assert (instance(struck), instance(struck, other)) == before
    assert_none(lambda: leaks(struck))
    assert struck.get(other).text == f"{other}\n"


def answers(machine: Machine, app: str) -> bool:
    try:
        return machine.get(app, timeout=2).status == 200
    except OSError:
        return False
