"""What somebody who has taken over the front door's process can reach: run as its account, in its namespaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.apps import httpd
from tests.harness.client import Client
from tests.machine import Machine

_TRY = """
import errno, json, os, socket, sys
def attempt(what):
    try:
        return what() or "done"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
def read(path):
    with open(path, "rb") as file:
        file.read(1)
def write(path):
    with open(path, "w") as file:
        file.write("#!/bin/sh\\necho run")
    os.chmod(path, 0o755)
def run(path):
    write(path)
    try:
        os.posix_spawn(path, [path], {})
    finally:
        os.unlink(path)
def connect(address):
    with socket.create_connection(address, 2):
        pass
wanted = json.load(sys.stdin)
print(json.dumps({
    "read": {path: attempt(lambda: read(path)) for path in wanted["read"]},
    "list": {path: attempt(lambda: len(os.listdir(path)) and "done") for path in wanted["list"]},
    "write": {path: attempt(lambda: write(path)) for path in wanted["write"]},
    "run": {path: attempt(lambda: run(path)) for path in wanted["run"]},
    "connect": {str(port): attempt(lambda: connect(("127.0.0.1", port))) for port in wanted["connect"]},
    "root": attempt(lambda: os.setuid(0)),
    "top": sorted(os.listdir("/")),
    "programs": sorted({open(f"/proc/{name}/comm").read().strip() for name in os.listdir("/proc") if name.isdigit()}),
}))
"""


@pytest.fixture(scope="module")
def door(machine: Machine) -> int:
    """The pid of the front door's python inside of the machine."""
    return int(machine.run(["pgrep", "-f", "-n", "paas ssh$"]).text.split()[-1])


def inside(machine: Machine, door: int, *argv: str, input: bytes | None = None) -> str:
    spaces = ["--mount", "--pid", "--net", "--ipc"]
    account = ["setpriv", "--reuid=paas", "--regid=paas", "--clear-groups", "--bounding-set=-all", "--no-new-privs"]
    return machine.run(["nsenter", f"--target={door}", *spaces, "--", *account, *argv], input=input).text


def test_it_has_no_privileges(machine: Machine, door: int) -> None:
    status = dict(
        line.split(":\t", 1) for line in machine.run(["cat", f"/proc/{door}/status"]).text.splitlines() if ":\t" in line
    )
    uid = machine.run(["id", "-u", "paas"]).text.strip()
    assert set(status["Uid"].split()) == {uid} and status["Groups"].strip() == ""
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    limits = machine.run(["cat", f"/proc/{door}/limits"]).text
    assert "Max core file size        0 " in limits
    assert f"Max data size             {machine.settings.ssh_memory} " in limits
    # Its memory, with the tokens of logins in it, and its channel to the engine are closed to other processes of its
    # account: to git, say.
    for path in (f"/proc/{door}/maps", f"/proc/{door}/fd/0"):
        assert "Permission denied" in machine.run(["cat", path], user="paas", check=False).error
    for kind in ("ed25519", "ecdsa"):
        found = (machine.data_dir / f"ssh/host_{kind}").stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, 0, 0o600), "the host keys are the engine's"


def test_what_it_reaches(machine: Machine, door: int) -> None:
    client = machine.client("confined")
    client.repository("confined", httpd("x")).push("confined")
    data, run = machine.data_dir, machine.run_dir
    key = machine.paas("git:public-key", check=False)
    if key.status:
        machine.paas("git:generate-deploy-key")
    repo = max((data / "repos").iterdir(), key=lambda path: int(path.stem))
    read = [data / "paas.db", data / "ssh/host_ed25519", data / "accounts/id_ed25519", Path("/etc/shadow")]
    assert all(path.exists() for path in read), "what is not there proves nothing"
    secret = [str(path) for path in data.iterdir() if path.name != "repos"]
    names = set(machine.run(["ls", str(run)]).text.split()) - {"engine", "code"}
    hidden = [*secret, *(f"{run}/{name}" for name in names)]
    wanted = {
        "read": [*map(str, read), str(repo / "HEAD")],
        "list": [*hidden, "/root", "/home", "/var/log", "/sys", str(data / "repos")],
        "write": ["/usr/bin/git", "/etc/passwd", str(run / "code/hooks/pre-receive"), str(run / "engine/other"), "/x"],
        "run": [str(repo / "hook"), "/tmp/program"],
        "connect": [machine.settings.http_port, machine.settings.ssh_port],
    }
    said = inside(machine, door, "/usr/bin/python3", "-c", _TRY, input=json.dumps(wanted).encode())
    found = json.loads(said)
    opened = {(kind, path) for kind in ("read", "list", "write", "run", "connect")
              for path, how in found[kind].items() if how == "done"}  # fmt: skip
    assert opened == {("read", str(repo / "HEAD")), ("list", str(data / "repos"))}
    assert set(found["run"].values()) == {"EACCES"} and set(found["connect"].values()) == {"ENETUNREACH"}
    assert found["root"] == "EPERM"
    assert set(found["programs"]) <= {"catatonit", "python", "python3", "git", "setpriv", "unshare"}
    assert not {"root", "home", "sys", "var", "boot", "mnt", "srv"} & (set(found["top"]) - {data.parts[1]})
    machine.paas("apps:destroy", "--force", "confined")
    if key.status:  # other tests begin without one
        for path in (data / "accounts").glob("id_ed25519*"):
            path.unlink()


def test_git_works_in_there(machine: Machine, door: int) -> None:
    client = machine.client("confined-git")
    work = client.repository("confined-git", httpd("one"))
    assert "Application deployed" in work.push("confined-git").error
    copy = client.repository("confined-copy")
    copy.git("clone", "--quiet", client.url("confined-git"), "copy")
    assert copy.git("-C", "copy", "rev-parse", "HEAD").text.strip() == work.head
    assert machine.run(["ps", "-o", "stat=", "--ppid", str(door)], check=False).text.count("Z") == 0
    machine.paas("apps:destroy", "--force", "confined-git")


def test_it_is_started_again(machine: Machine, door: int) -> None:
    client: Client = machine.client("confined-again")
    machine.run(["kill", "-KILL", str(door)])
    for _ in range(100):
        if client.ssh("version", check=False).status == 0:
            break
    found = machine.run(["pgrep", "-f", "paas ssh$"]).text.split()
    assert str(door) not in found, "another one, and nothing is left of the first"
    assert client.ssh("version").status == 0
