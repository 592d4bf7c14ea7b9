from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.system.run import Process
from tests.harness.apps import httpd
from tests.harness.client import Client, Repository
from tests.harness.waiting import wait_until
from tests.machine import Machine

HTTP, GIT = 8098, 9418


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A repository that is served on the machine's loopback, and a directory served beside it."""

    machine: Machine
    repository: Repository
    directory: Path

    @property
    def git(self) -> str:
        return f"git://127.0.0.1:{GIT}/site"

    @property
    def dumb(self) -> str:
        return f"http://127.0.0.1:{HTTP}/site.git"

    @property
    def private(self) -> str:
        return f"http://127.0.0.1:{HTTP}/private/site.git"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{HTTP}/{name}"

    def publish(self, message: str, branch: str = "main") -> str:
        """A new commit of an app that answers a message; returns its id."""
        commit = self.repository.commit(httpd(message))
        for bare in (self.directory / "site.git", self.directory / "private/site.git"):
            self.repository.git("push", "--quiet", "--force", str(bare), f"HEAD:refs/heads/{branch}")
            self.repository.git("--git-dir", str(bare), "symbolic-ref", "HEAD", "refs/heads/main")
            self.repository.git("--git-dir", str(bare), "update-server-info")
        return commit


@contextmanager
def serving(machine: Machine, directory: Path, address: str = "127.0.0.1", port: int = HTTP) -> Iterator[Process]:
    script = Path(__file__).with_name("server.py")
    process = machine.start([sys.executable, str(script), address, str(port), str(directory)])
    probe = ["curl", "--silent", "--output", "/dev/null", f"http://{address}:{port}/"]
    wait_until(lambda: machine.run(probe, check=False).status == 0, "the server listens")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def elsewhere(machine: Machine) -> Iterator[Elsewhere]:
    directory = machine.disk / "elsewhere"
    (directory / "private").mkdir(parents=True)
    repository = machine.client("publisher").repository("elsewhere")
    for name in ("site.git", "private/site.git"):
        repository.git("init", "--quiet", "--bare", str(directory / name))
    (directory / "site").symlink_to("site.git")
    found = Elsewhere(machine, repository, directory)
    found.publish("first")
    daemon = machine.start(
        ["git", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--base-path={directory}"]
    )
    try:
        with serving(machine, directory):
            yield found
    finally:
        daemon.kill()
        daemon.wait()


@pytest.fixture
def app(machine: Machine) -> Iterator[Callable[[str], str]]:
    """`app(NAME)` makes an app that goes after the test."""
    made = []

    def make(name: str) -> str:
        machine.paas("apps:create", name)
        made.append(name)
        return name

    yield make
    for name in made:
        machine.paas("apps:destroy", "--force", name)


@pytest.fixture(scope="session")
def boss(machine: Machine) -> Client:
    return machine.client("boss", admin=True)


@pytest.fixture(scope="session")
def dev(machine: Machine) -> Client:
    return machine.client("dev")
