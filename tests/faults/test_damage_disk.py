"""A disk that is full: what is asked for says so and what to do, what runs goes on, and with room again all works."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.system import mounts
from paas.system.run import run
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.registry import config_of
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "roomy"
REGISTRY = 5000
"""The port of one in the machine."""
_SIZE = 96 << 20
_LOUD = {
    "Dockerfile": "FROM scratch\nADD root.tar /\n"
    'CMD ["/bin/sh", "-c", "while echo some line; do sleep 0.01; done & exec httpd -f -p $PORT -h /www"]\n'
}


@pytest.fixture(scope="module")
def small() -> Iterator[Machine]:
    """A machine whose data lies on a file system of its own, of 96 MiB."""
    place = Path(f"/var/tmp/paas-small-{secrets.token_hex(3)}")
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE},mode=0711", "tmpfs", str(place)])
    try:
        with Machine(place=place) as made:
            made.engine_start()
            yield made
    finally:
        mounts.unmount(place)
        place.rmdir()


@pytest.fixture(scope="module")
def client(small: Machine, tmp_path_factory: pytest.TempPathFactory) -> Client:
    made = Client(tmp_path_factory.mktemp("client"), small.address, small.settings.ssh_port)
    small.paas("ssh-keys:add", made.name, input=made.public_key.encode())
    return made


@pytest.fixture(scope="module")
def repository(small: Machine, client: Client) -> Repository:
    made = client.repository(APP, httpd("one"))
    made.push(APP)
    return made


@pytest.fixture(scope="module")
def other(small: Machine, client: Client) -> str:
    client.repository("other", httpd("other")).push("other")
    return "other"


@pytest.fixture
def neighbour(small: Machine, other: str) -> Iterator[None]:
    """Somebody asks another app all the time, and is answered all the time."""
    answers, end = list[str](), threading.Event()

    def ask() -> None:
        while not end.wait(0.05):
            answer = small.get(other)
            answers.append(f"{answer.status} {answer.text.strip()}")

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        end.set()
        asking.join()
    assert set(answers) == {"200 other"}


def free(machine: Machine) -> int:
    left = os.statvfs(machine.data_dir)
    return left.f_bavail * left.f_frsize


def taken(file: int, size: int) -> bool:
    """False when somebody has written something meanwhile, as logs are."""
    try:
        os.posix_fallocate(file, 0, size)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def filled(machine: Machine, left: int, name: str = "filler") -> Iterator[None]:
    """Inside, so many bytes are free."""
    filler = machine.data_dir / name
    with filler.open("wb", buffering=0) as file:
        try:
            wait_until(lambda: taken(file.fileno(), free(machine) - left), "the disk is filled")
            if not left:
                with contextlib.suppress(OSError):
                    while file.write(bytes(4096)):
                        pass
            yield
        finally:
            file.close()
            filler.unlink()


def tidy(machine: Machine) -> set[str]:
    """What a step that failed could have left."""
    return {
        path.name
        for path in (*(machine.data_dir / "layers").iterdir(), *(machine.data_dir / "scratch").glob("*"))
        if path.name.startswith((".tmp", "tmp")) or path.parent.name == "scratch"
    }


def test_a_run_step_that_fills_the_disk(
    small: Machine, client: Client, repository: Repository, neighbour: None
) -> None:
    before = free(small)
    repository.commit({"Dockerfile": "FROM scratch\nADD root.tar /\nRUN dd if=/dev/zero of=/big bs=1M count=500\n"})
    said = repository.push(APP, check=False)
    assert said.status != 0
    assert "The disk is full" in said.error and "system:prune" in said.error
    assert small.get(APP).text == "one\n"
    assert not tidy(small)
    assert free(small) > before - (8 << 20)
    repository.git("reset", "--hard", "HEAD~1")


def test_a_copy_that_fills_the_disk(small: Machine, client: Client, repository: Repository, neighbour: None) -> None:
    copies = "".join(f"COPY big /www/{number}\n" for number in range(6))
    repository.commit({"Dockerfile": f"FROM scratch\nADD root.tar /\n{copies}", "big": os.urandom(5 << 20)})
    with filled(small, 22 << 20):
        said = repository.push(APP, check=False)
    assert said.status != 0
    assert "isk is full" in said.error and "system:prune" in said.error, said.error
    assert small.get(APP).text == "one\n"
    assert not tidy(small)
    repository.git("reset", "--hard", "HEAD~1")


def test_a_push_that_does_not_fit(small: Machine, client: Client, repository: Repository, neighbour: None) -> None:
    repo = small.data_dir / "repos/1.git"
    refs = (repo / "refs/heads/master").read_text()
    repository.commit({"big": os.urandom(9 << 20)})
    with filled(small, 2 << 20):
        said = repository.push(APP, check=False)
        assert said.status != 0
        assert "The disk is full" in said.error and "system:prune" in said.error, said.error
    with filled(small, 7 << 20):
        said = repository.push(APP, check=False)
        assert said.status != 0
        assert "The disk is nearly full" in said.error and "system:prune" in said.error, said.error
        assert "exceeds maximum allowed size" in said.error or "No space left on device" in said.error
    assert (repo / "refs/heads/master").read_text() == refs
    assert not list((repo / "objects").glob("tmp_objdir*"))
    assert small.get(APP).text == "one\n"
    repository.git("reset", "--hard", "HEAD~1")


def image_of(content: bytes) -> bytes:
    """A root directory with one file, as a tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("big")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def test_an_image_that_does_not_fit(small: Machine, client: Client, repository: Repository, neighbour: None) -> None:
    with filled(small, 8 << 20):
        said = small.paas("import", "-", "big:1", input=image_of(os.urandom(12 << 20)), check=False)
    assert said.status == 1
    assert "The disk is full" in said.error and "system:prune" in said.error, said.error
    assert "big" not in small.paas("images:list").text
    assert not tidy(small)


def test_a_pull_that_does_not_fit(
    small: Machine, client: Client, repository: Repository, neighbour: None, tmp_path: Path
) -> None:
    (tmp_path / "config.yml").write_text(config_of(tmp_path, REGISTRY))
    name = f"127.0.0.1:{REGISTRY}/big:1"
    registry = small.start(["docker-registry", "serve", str(tmp_path / "config.yml")])
    try:
        small.paas("import", "-", name, input=image_of(b"a line of many\n" * (2 << 20)))  # little, while it is packed
        wait_until(lambda: small.paas("push", name, check=False).status == 0, "the registry has it", 30)
        small.paas("rmi", name)
        with filled(small, 12 << 20):
            said = small.paas("pull", name, check=False)
            assert said.status == 1
            assert "The disk is full" in said.error and "system:prune" in said.error, said.error
        assert "big" not in small.paas("images:list").text
        assert not tidy(small)
        small.paas("pull", name)
    finally:
        registry.kill()
        registry.wait()
    small.paas("rmi", name)
    small.paas("system:prune", "--force")


def test_no_byte_is_left(small: Machine, client: Client, repository: Repository, neighbour: None) -> None:
    """The database goes on by its reserve; what needs more is refused, and what runs does not notice."""
    loud = client.repository("loud", {**httpd("loud"), **_LOUD})
    loud.push("loud")
    releases = client.ssh("releases", APP, "--format", "json").text
    with filled(small, 0):
        for number in range(3):  # written down, with what the reserve held
            small.paas("config:set", "--no-restart", APP, f"NUMBER={number}")
        assert not (small.data_dir / "reserve").exists()
        repository.commit({"index.html": "two\n"})
        assert "The disk is full" in repository.push(APP, check=False).error
        assert small.get(APP).text == "one\n"
        for _ in range(20):
            assert small.get("loud").status == 404, "the app goes on although its log cannot"
        assert "was not packed: The disk is full" in small.paas("system:prune", "--force").error
    assert client.ssh("releases", APP, "--format", "json").text == releases
    assert client.ssh("config:get", APP, "NUMBER").text == "2\n"
    repository.push(APP)
    assert small.get(APP).text == "two\n"
    wait_until((small.data_dir / "reserve").exists, "space is kept in reserve again", 30)
    assert small.paas("system:check").status == 0


def test_an_engine_starts_on_a_full_disk(small: Machine, client: Client, repository: Repository) -> None:
    """Apps serve on; those that ended meanwhile come back when there is room again."""
    with filled(small, 0):
        small.engine_kill()
        small.run(["sh", "-c", "pkill -KILL -f '^httpd -f' || true"])
        small.engine_start()
        assert "The disk is full" in repository.push(APP, check=False).error
        small.engine_stop()
        (small.data_dir / "reserve").unlink(missing_ok=True)
        with filled(small, 0, "more"), pytest.raises(AssertionError, match=r"The disk is full.*\n.*Make room by hand"):
            small.engine_start()
        small.engine_start()
    wait_until(lambda: small.get(APP).status == 200, "it is started again", 30)


def test_a_change_that_cannot_be_written_changes_nothing(
    small: Machine, client: Client, repository: Repository, neighbour: None
) -> None:
    before = client.ssh("releases", APP, "--format", "json").text
    wait_until((small.data_dir / "reserve").exists, "there is a reserve", 30)
    with filled(small, 0):
        for number in range(400):
            said = small.paas("config:set", "--no-restart", APP, f"MUCH={number}{'x' * 60000}", check=False)
            if said.status != 0:
                break
        assert "The disk is full" in said.error and "system:prune" in said.error
        assert small.paas("config:get", APP, "MUCH").text.strip().rstrip("x") == str(number - 1)
        restarted = small.paas("ps:restart", APP, check=False)
        assert restarted.status != 0
        assert small.get(APP).status == 200
    assert client.ssh("releases", APP, "--format", "json").text == before
    small.paas("config:unset", "--no-restart", APP, "MUCH")
    client.ssh("ps:restart", APP)
    assert small.get(APP).status == 200
    assert small.paas("system:check").status == 0
