"""A day's work with secrets of every kind; then the disk, the logs and the process lists are searched for them."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.system import run as system
from tests.harness.apps import busybox_root
from tests.harness.authority import Authority
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine

APP = "tn-keeper"


def planted(kind: str) -> str:
    return f"planted-{kind}-4f1d0c"


_ANY = re.compile(rb"planted-[a-z-]+-4f1d0c")
_DOCKERFILE = """FROM scratch
ADD root.tar /
RUN --mount=type=secret,id=token cat /run/secrets/token >/dev/null; cat /run/secrets/token
RUN {step}
CMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]
"""


@pytest.fixture(scope="module")
def keeper(machine: Machine) -> Iterator[Client]:
    client = machine.client("tn-keeper")
    machine.paas("apps:create", APP)
    yield client
    machine.paas("apps:destroy", APP, "--force")


def _a_day(machine: Machine, client: Client) -> None:
    client.ssh("config:set", APP, f"TOKEN={planted('config')}", f"DATABASE_URL=postgres://u:{planted('url')}@db/x")
    client.ssh("docker-options:add", APP, "build", "--secret id=token,env=BUILD_TOKEN")
    client.ssh("config:set", APP, f"BUILD_TOKEN={planted('build')}")
    client.ssh("docker-options:add", APP, "deploy,run", f"--env OPTION={planted('option')}")
    client.ssh("docker-options:add", APP, "build", f"--build-arg UNUSED={planted('argument')}")
    files: dict[str, bytes | str] = {
        "Dockerfile": _DOCKERFILE.format(step="true"),
        "root.tar": busybox_root(),
        "app.json": '{"env": {"GENERATED": {"generator": "secret"}}}',
    }
    repository = client.repository("keeper", files)
    repository.push(APP)
    repository.commit({"Dockerfile": _DOCKERFILE.format(step="cat /nothing")})
    assert repository.push(APP, check=False).status != 0
    client.ssh("config:set", APP, f"TOKEN={planted('rotated')}")
    client.ssh("config:export", APP)
    client.ssh("config:show", APP)
    client.ssh("config:set", APP, f"bad name={planted('refused')}", check=False)
    client.ssh("config:sett", APP, f"A={planted('misspelt')}", check=False)
    client.ssh("releases:rollback", APP, check=False)
    client.ssh("run", "-e", f"ONCE={planted('once')}", APP, "sh", "-c", "exit 3", check=False)
    client.ssh("http-auth:add-user", APP, "anna", input=f"{planted('password')}\n".encode())
    client.ssh("http-auth:enable", APP)
    assert machine.get(APP).status == 401
    client.ssh("git:sync", APP, f"https://u:{planted('address')}@127.0.0.1:9/x.git", check=False)
    client.ssh("git:from-archive", APP, f"http://u:{planted('archive')}@127.0.0.1:9/x.tar", check=False)
    login = ("registry:login", "--password-stdin", "127.0.0.1:9", "u")
    machine.paas(*login, input=planted("registry").encode(), check=False)
    machine.paas("git:auth", "git.example.com", "robot", input=planted("git").encode())
    crt, key = Authority().issue("keeper.example")
    client.ssh("certs:add", APP, input=_archive(crt, key))
    client.ssh("enter", APP, "web", "sh", "-c", "kill 1", check=False)
    client.ssh("logs", APP)
    client.ssh("events", APP, check=False)
    client.ssh("builds:output", APP, "current", check=False)


def _archive(crt: str, key: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, text in (("server.crt", crt), ("server.key", key)):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_secrets_are_found_nowhere_in_clear(machine: Machine, keeper: Client) -> None:
    _a_day(machine, keeper)
    held = system.start(keeper.ssh_command("run", "-e", f"ONCE={planted('held')}", APP, "sleep", "997"))
    try:
        wait_until(lambda: _processes(machine, b"sleep\x00997"), "the one-off container runs")
        assert _in_processes(machine) == {}, "neither in arguments nor in the environment of what is ours"
        bundles = _files(machine, str(machine.run_dir))
        assert bundles and all(name.endswith("/config.json") for name in bundles), bundles
        keys = machine.run(["find", str(machine.data_dir), "-name", "*.key"]).text.split()
        assert keys
        for user in ("paas", "www-data"):
            for name in (*bundles, *keys, str(machine.data_dir / "registries.json")):
                assert machine.run(["cat", name], user=user, check=False).status != 0, f"{user} reads {name}"
        found = _files(machine, str(machine.disk))
    finally:
        held.terminate()
        held.wait(10)
    allowed = str(machine.data_dir / "accounts" / ".netrc")
    assert allowed in found, "the search finds what is there"
    assert [name for name in found if name != allowed] == []
    assert Path(allowed).stat().st_mode & 0o077 == 0, "git reads it so, and nobody else may"
    assert not _ANY.search(machine.run(["nft", "list", "ruleset"]).stdout)


def _files(machine: Machine, top: str) -> list[str]:
    """Files below, on any mount, that have one of the secrets; nothing is said of what containers see of themselves."""
    command = ["grep", "-rlaE", "--devices=skip", "--exclude-dir=clients", _ANY.pattern.decode(), top]
    return [name for name in machine.run(command, check=False).text.splitlines() if "/rootfs/" not in name]


def _processes(machine: Machine, words: bytes) -> bool:
    return any(words in _read(pid, "cmdline") for pid in _pids(machine))


def _read(pid: str, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it has just ended
        return b""


def _pids(machine: Machine) -> list[str]:
    """Of the machine's own processes and of those in its containers, as the host numbers them."""
    space = Path(f"/proc/{machine.engine_pid}/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            ours = (entry / "ns" / "pid").readlink() == space
        except OSError:
            continue
        if ours or _uid(entry.name) >= machine.settings.uid_base:
            found.append(entry.name)
    return found


def _uid(pid: str) -> int:
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return 0


def _in_processes(machine: Machine) -> dict[str, list[bytes]]:
    """What programs of the host, which those in containers are not, show of the secrets."""
    found = {}
    for pid in _pids(machine):
        if _uid(pid) >= machine.settings.uid_base:
            continue
        shown = _read(pid, "cmdline") + _read(pid, "environ")
        if secrets := _ANY.findall(shown):
            found[shown[:60].decode("latin-1")] = secrets
    return found
