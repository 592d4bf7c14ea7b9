"""One app against the disk that all share. A machine with 160 MiB of it: what is ended there is ended in seconds."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.system import mounts
from paas.system.occupied import Bounds, occupied
from paas.system.run import run
from tests.harness.apps import httpd
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine
from tests.tenants.conftest import OURS, VICTIM, Tenants

MIB = 1 << 20
_SIZE, _INODES = 160 * MIB, 20_000
_DOES = {
    **httpd("mallory"),
    "Dockerfile": "FROM scratch\nADD root.tar /\nCOPY index.html /www/\n"
    'CMD ["/bin/sh", "-c", "eval \\"$DO\\" & exec httpd -f -p $PORT -h /www"]\n',
}
"""An app that does behind what its config var DO says."""

_FILES = "i=0; while i=$((i+1)); do :>/tmp/$i; [ $((i%200)) != 0 ] || sleep 0.1; done"
"""Two thousand in a second: without a pause they would fill the machine between two looks."""


class Small(Tenants):
    """The two apps on a machine of their own."""

    def report(self) -> str:
        return self.mallory.ssh("ps:report", OURS).text

    def events(self) -> str:
        return self.root.paas("events", "--app", OURS).text

    def do(self, text: str) -> None:
        """From now on, or from the next start."""
        self.mallory.ssh("config:set", OURS, f"DO={text}")

    def written(self) -> int:
        """Bytes of all writable layers and logs."""
        return occupied(str(self.root.data_dir / "containers"), Bounds()).bytes

    def others_go_on(self, message: str) -> None:
        assert self.root.get(VICTIM).status == 200
        done = self.push(f"victim-{message}", httpd(message), VICTIM)
        assert done.status == 0, done.error
        assert self.root.get(VICTIM).text == f"{message}\n"

    def works_again(self) -> None:
        self.do("true")
        wait_until(lambda: self.root.get(OURS).status == 200, "it serves again", 60)
        assert "status-web.1" in self.mallory.ssh("ps:report", OURS, "--format", "json").text


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    place = Path(f"/var/tmp/paas-small-{secrets.token_hex(3)}")
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE},nr_inodes={_INODES},mode=0711", "tmpfs", str(place)])
    try:
        with Machine(place=place) as machine:
            machine.engine_start()
            clients = [
                Client(tmp_path_factory.mktemp(name), machine.address, machine.settings.ssh_port)
                for name in ("mallory", "owner")
            ]
            for client, app, files in zip(clients, (OURS, VICTIM), (_DOES, httpd("victim")), strict=True):
                machine.paas("apps:create", app)
                machine.paas("ssh-keys:add", client.name, input=client.public_key.encode())
                machine.paas("access:add", client.name, "deploy", app)
                client.repository("first", files).push(app)
            yield Small(machine, *clients)
    finally:
        mounts.unmount(place)
        place.rmdir()


@pytest.mark.parametrize(
    ("limit", "does", "said"),
    [
        (("--disk", "8m"), "dd if=/dev/zero of=/full bs=1M count=30; sleep 1000", "wrote more than 8.0 MiB"),
        (("--disk", "8m"), "exec 3>/x; rm /x; dd if=/dev/zero bs=1M count=30 >&3; sleep 1000", "wrote more than 8.0"),
        (
            ("--inodes", "500"),
            "i=0; while i=$((i+1)); do :>/tmp/$i; [ $((i%200)) != 0 ] || sleep 0.1; done",
            "made more than 500 files",
        ),
        (("--disk", "8m"), "while mkdir d && cd d; do :; done; sleep 1000", "nested directories deeper"),
    ],
    ids=["a file", "a deleted file", "files without end", "directories without end"],
)
def test_a_writable_layer_beyond_its_limit(small: Small, limit: tuple[str, str], does: str, said: str) -> None:
    """The instance is started again with an empty one, and its owner told; then and after that others go on."""
    small.mallory.ssh("resource:limit", *limit, OURS)
    try:
        small.do(does)
        wait_until(lambda: said in small.report(), f"{small.report()} {small.root.engine_log[-600:]}", 60)
        assert said in small.events()
        small.others_go_on(secrets.token_hex(2))
        small.works_again()
        assert said in small.mallory.ssh("logs:failed", OURS, check=False).text + small.mallory.ssh("logs", OURS).text
        wait_until(lambda: small.written() < 8 * MIB, "what it had written is gone", 60)
    finally:
        small.mallory.ssh("resource:limit-clear", OURS)


def test_a_one_off_command_beyond_its_limit(small: Small) -> None:
    small.mallory.ssh("resource:limit", "--disk", "8m", "--process-type", "run", OURS)
    try:
        writes = ("sh", "-c", "dd if=/dev/zero of=/full bs=1M count=30; sleep 100")
        done = small.mallory.ssh("run", OURS, *writes, check=False)
        assert done.status == 137 and "The command wrote more than 8.0 MiB" in done.error
        name = small.mallory.ssh("run:detached", OURS, *writes).text.strip()
        wait_until(lambda: name not in small.mallory.ssh("run:list", OURS).text, "it is ended", 60)
        assert "wrote more than 8.0 MiB" in small.mallory.ssh("logs", OURS).text
    finally:
        small.mallory.ssh("resource:limit-clear", "--process-type", "run", OURS)


def test_storage_beyond_its_limit(small: Small) -> None:
    """The app stays down until somebody starts it; a command can make room, and who does not write on is left alone."""
    small.mallory.ssh("storage:mount", OURS, "mallory-data:/data")
    small.mallory.ssh("resource:limit", "--storage", "10m", OURS)
    try:
        small.do("dd if=/dev/zero of=/data/full bs=1M count=30; sleep 1000")
        wait_until(lambda: "its storage has 30.0 MiB and may have 10.0 MiB" in small.report(), small.report(), 60)
        assert "web.1:                     ended" in small.report()
        small.others_go_on(secrets.token_hex(2))
        small.mallory.ssh("run", OURS, "rm", "/data/full")
        small.works_again()
    finally:
        small.mallory.ssh("resource:limit-clear", OURS)


def test_when_nearly_nothing_is_left(small: Small) -> None:
    """Whoever has taken most goes, limits or not, and stays away; others serve all the time."""
    small.root.paas("resource:limit", "--disk", "10g", OURS)
    kept = "i=0; while i=$((i+1)) && dd if=/dev/zero of=/data/$i bs=1M count=4; do sleep 0.05; done; sleep 1000"
    try:
        for does, tidies in ((kept.replace("/data/", "/"), False), (kept, True)):
            small.do(does)
            wait_until(
                lambda: "was stopped: the disk of the machine was nearly full" in small.report(), "it is stopped", 60
            )
            assert small.root.get(VICTIM).status == 200
            if tidies:
                small.mallory.ssh("run", OURS, "sh", "-c", "rm /data/*")
            else:
                wait_until(lambda: small.written() < 8 * MIB, "what it had written is gone", 60)
            small.others_go_on(secrets.token_hex(2))
            small.works_again()
    finally:
        small.mallory.ssh("resource:limit-clear", OURS)
        small.mallory.ssh("storage:unmount", OURS, "mallory-data:/data")
