"""An engine killed at any point of a deploy: the app serves a whole release, and nothing is left of the other one."""

from __future__ import annotations

import io
import tarfile

import pytest

from paas.system.run import Completed
from tests.conftest import MachineMaker
from tests.harness.apps import busybox_root, httpd
from tests.harness.client import Client
from tests.harness.crashing import ALSO_ELSEWHERE, ELSEWHERE, CrashPoints, declared, words

APP = "walked"
FILES = httpd("0")
DOCKERFILE = (
    str(FILES["Dockerfile"])
    .replace("COPY", "RUN echo made >/www/made\nCOPY")
    .replace("exec httpd", "echo $WORD >/www/word; exec httpd")
)


@pytest.fixture
def points(new_machine: MachineMaker) -> CrashPoints:
    return CrashPoints(new_machine({"drain_timeout": "1", "ready_sandboxes": "2"}, engine=False))


def test_every_point_of_a_deploy(points: CrashPoints) -> None:
    machine = points.machine
    client = machine.client()
    repository = client.repository(APP, FILES)
    count, serves = 0, ""

    def push() -> Completed:
        """Another body, and with it another variable: they must always be seen together."""
        nonlocal count, serves
        count += 1
        files = {"index.html": f"{count}\n", "Dockerfile": DOCKERFILE.replace("made >", f"made {count} >")}
        repository.commit({**files, "paas.yml": f"config:\n  WORD: word-{count}\n"})
        done = repository.push(APP, check=False, timeout=60)
        serves = str(count) if done.status == 0 else serves
        return done

    assert push().status == 0

    def check(point: str, done: Completed) -> None:
        nonlocal serves
        served = machine.get(APP).text.strip()
        assert served in (str(count), serves), f"{served} in place of {serves} or {count}"
        assert machine.get(APP, "/word").text == f"word-{served}\n"
        assert done.status == 0 or "`git push` again" in words(done), words(done)
        serves = served

    points.walked |= ALSO_ELSEWHERE
    points.walk(push, check)
    assert push().status == 0
    assert machine.get(APP).text == f"{count}\n"
    assert declared() - points.walked == ELSEWHERE, "points without a walk, or walks without a point"
    the_app_is_destroyed_after_all(points, client)
    what_a_stopped_container_has_stays(points)
    a_container_that_was_half_started_goes(points)


def the_app_is_destroyed_after_all(points: CrashPoints, client: Client) -> None:
    """A removal that was cut off leaves an app that is stopped, to be removed again."""
    done = points.die("destroy:instances-gone", lambda: client.ssh("apps:destroy", APP, "--force", check=False))
    assert done.status != 0
    points.start()
    points.check()
    client.ssh("apps:destroy", APP, "--force")
    points.check()


def what_a_stopped_container_has_stays(points: CrashPoints) -> None:
    """Its files are mounted for a copy when the engine dies, and the next one tidies up."""
    paas = points.machine.paas
    paas("import", "-", "stock:1", input=busybox_root())
    paas("run", "--name", "kept", "stock:1", "sh", "-c", "echo written >/root/file")
    stream = io.BytesIO()
    tarfile.open(fileobj=stream, mode="w").close()
    done = points.die("rootfs:mounted", lambda: paas("cp", "-", "kept:/root", input=stream.getvalue(), check=False))
    assert done.status != 0
    points.start()
    points.check()
    copied = paas("cp", "kept:/root/file", "-").stdout
    with tarfile.open(fileobj=io.BytesIO(copied)) as tar:
        file = tar.extractfile("file")
        assert file is not None and file.read() == b"written\n"
    assert paas("cp", "kept:/bin/busybox", "-").stdout


def a_container_that_was_half_started_goes(points: CrashPoints) -> None:
    paas = points.machine.paas
    points.die("run:started", lambda: paas("run", "-d", "--name", "half", "stock:1", "sleep", "300", check=False))
    points.start()
    points.check()
    assert "half" not in paas("ps", "--all").text
