"""The commands through the front door, with a registry on the machine's own loopback."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.paths import PROJECT
from paas.system.run import Completed, Process
from tests.build.conftest import write
from tests.conftest import MachineMaker
from tests.containers.test_terminals import terminal
from tests.harness.apps import busybox_root, httpd
from tests.harness.client import Client
from tests.harness.registry import PASSWORD, USER, config_of
from tests.harness.waiting import wait_until
from tests.machine import Machine

PORT = 5000
PAAS = str(PROJECT / "scripts/paas")
HOST = f"127.0.0.1:{PORT}"
PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.fixture(scope="module")
def at(machine: Machine) -> Iterator[Machine]:
    """The machine with an empty registry, without TLS, and an image `tiny:reg`."""
    registry = start_registry(machine)
    place = machine.disk / "tinyreg"
    write(place, {"Dockerfile": "FROM scratch\nADD root.tar /\nENV PATH=/bin\nCMD sh\n", "root.tar": busybox_root()})
    machine.paas("build", "-t", "tiny:reg", str(place))
    yield machine
    registry.kill()
    registry.wait()


def start_registry(machine: Machine, port: int = PORT, *, login: bool = False) -> Process:
    place = machine.disk / f"registry{port}"
    place.mkdir(exist_ok=True)
    (place / "config.yml").write_text(config_of(place, port, login=login))
    registry = machine.start(["docker-registry", "serve", str(place / "config.yml")])
    probe = ["curl", "--silent", "--output", "/dev/null", f"http://127.0.0.1:{port}/v2/"]
    wait_until(lambda: machine.run(probe, check=False).status == 0, "the registry listens")
    return registry


def ids(machine: Machine, name: str) -> list[str]:
    return machine.paas("images", "-q", name).text.split()


def test_push_remove_pull(at: Machine) -> None:
    name = f"{HOST}/team/app:1"
    at.paas("tag", "tiny:reg", name)
    said = at.paas("push", name).text
    assert said.startswith(f"The push refers to repository [{HOST}/team/app]\n")
    assert re.search(r"^[0-9a-f]{12}: Preparing$", said, re.M) and re.search(r"^[0-9a-f]{12}: Pushed$", said, re.M)
    digest = re.search(r"^1: digest: (sha256:[0-9a-f]{64}) size: \d+$", said, re.M)
    assert digest

    assert at.paas("rmi", name).text == f"Untagged: {name}\n"
    assert ids(at, name) == []

    said = at.paas("pull", name).text
    assert said.startswith("1: Pulling from team/app\n")
    assert said.endswith(f"Digest: {digest[1]}\nStatus: Downloaded newer image for {name}\n{name}\n")
    assert "Status: Image is up to date" in at.paas("pull", name).text
    assert json.loads(at.paas("pull", "--format", "json", name).text)["digest"] == digest[1]
    [shown] = json.loads(at.paas("inspect", name).text)
    assert shown["RepoTags"] == [name] or name in shown["RepoTags"]
    assert f"{HOST}/team/app@{digest[1]}" in shown["RepoDigests"]
    assert shown["Config"]["Cmd"] == ["/bin/sh", "-c", "sh"]


def test_images(at: Machine) -> None:
    at.paas("tag", "tiny:reg", "listed:1")
    lines = at.paas("images", "listed").text.splitlines()
    assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    pattern = r"listed +1 +[0-9a-f]{12} +(Less than a second|\d+ \w+|About an? \w+) ago +\d[\d.]*MB"
    assert re.fullmatch(pattern, lines[1])
    assert len(lines) == 2
    [id] = ids(at, "listed:1")
    assert len(id) == 12
    assert "DIGEST" in at.paas("images", "--digests").text.splitlines()[0]
    assert [entry["reference"] for entry in json.loads(at.paas("images", "--format", "json", "listed").text)] == [
        "listed:1"
    ]
    at.paas("rmi", "listed:1")


def test_rmi_names_who_uses_an_image(at: Machine) -> None:
    place = at.disk / "rmi"
    write(place, {"Dockerfile": "FROM tiny:reg\nRUN echo x >/x\n"})
    at.paas("build", "-t", "gone:1", "-t", "gone:2", str(place))
    [id] = ids(at, "gone:1")
    refused = at.paas("rmi", id, check=False)
    assert refused.status == 1 and "gone:1, gone:2" in refused.error
    assert at.paas("rmi", "gone:2").text == "Untagged: gone:2\n"
    said = at.paas("rmi", "gone:1").text.splitlines()
    assert said[0] == "Untagged: gone:1" and said[1].startswith("Deleted: sha256:")
    assert "no image gone:1" in at.paas("rmi", "gone:1", check=False).error


def test_rmi_spares_what_an_app_runs(at: Machine) -> None:
    client = at.client("rmi-user", admin=True)
    client.repository("spared", httpd("here")).push("spared")
    try:
        found = json.loads(at.paas("images", "-a", "--format", "json").text)
        [id] = [entry["id"] for entry in found if entry["reference"] in (None, "spared:latest")][:1]
        at.paas("tag", id, "spared-name:1")
        refused = at.paas("rmi", "spared-name:1", check=False)
        assert refused.status == 1 and "spared (release 1)" in refused.error
        assert at.get("spared").text.strip() == "here"
    finally:
        at.paas("apps:destroy", "--force", "spared")
    at.paas("rmi", "spared-name:1", check=False)


def test_history(at: Machine) -> None:
    lines = at.paas("history", "tiny:reg").text.splitlines()
    assert lines[0].split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert "CMD sh" in lines[1] and "<missing>" in lines[2]
    entries = json.loads(at.paas("history", "--format", "json", "tiny:reg").text)
    assert [entry["created_by"] for entry in entries] == ["CMD sh", "ENV PATH=/bin", "ADD root.tar /"]
    assert entries[2]["size"] > 500_000


def test_save_and_load(at: Machine) -> None:
    at.paas("tag", "tiny:reg", "saved:1")
    data = at.paas("save", "saved:1").stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {"manifest.json", "index.json", "oci-layout"} <= set(tar.getnames())
    at.paas("rmi", "saved:1")
    assert at.paas("load", input=data).text == "Loaded image: saved:1\n"
    assert json.loads(at.paas("load", "--format", "json", input=data).text)[0]["references"] == ["saved:1"]
    assert "no image nothing" in at.paas("save", "nothing", check=False).error
    at.paas("rmi", "saved:1")


def test_save_to_a_file_where_it_is_typed(at: Machine) -> None:
    place = at.disk / "saved"
    place.mkdir()
    at.run(["sh", "-c", 'cd "$1" && "$2" save -o out.tar tiny:reg', "sh", str(place), PAAS])
    assert [entry.name for entry in place.iterdir()] == ["out.tar"]
    assert tarfile.is_tarfile(place / "out.tar")
    said = at.run(["sh", "-c", 'cd "$1" && "$2" load -i out.tar', "sh", str(place), PAAS]).text
    assert said == "Loaded image: tiny:reg\n"


def test_save_refuses_a_terminal(at: Machine) -> None:
    done = at.run(["script", "-qec", f"{PAAS} save tiny:reg", "/dev/null"], check=False)
    assert "not written to a terminal" in done.text
    assert done.status == 2


def test_a_reader_that_goes_away_ends_a_save(at: Machine) -> None:
    before = len(at.engine_log)
    done = at.run(["bash", "-c", f'"{PAAS}" save tiny:reg | head -c 10 >/dev/null; echo ${{PIPESTATUS[0]}}'])
    assert done.text == "130\n"
    assert "internal error" not in at.engine_log[before:]


def test_images_of_skopeo_run_and_are_built_from(at: Machine) -> None:
    at.paas("tag", "tiny:reg", f"{HOST}/skopeo/one:1")
    at.paas("push", f"{HOST}/skopeo/one:1")
    target = f"{HOST}/skopeo/two:1"
    words = ["--format", "v2s2", f"docker://{HOST}/skopeo/one:1", f"docker://{target}"]
    at.run(["skopeo", "copy", "--insecure-policy", *PLAIN, *words])
    client = at.client("skopeo-user", admin=True)
    app = httpd("from elsewhere")
    app["Dockerfile"] = (
        f'FROM {target}\nCOPY index.html /www/\nCMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /www"]\n'
    )
    at.paas("pull", target)
    client.repository("elsewhere", app).push("elsewhere")
    try:
        assert at.get("elsewhere").text.strip() == "from elsewhere"
    finally:
        at.paas("apps:destroy", "--force", "elsewhere")


def test_import(at: Machine) -> None:
    id = at.paas("import", "-", "imported:1", input=busybox_root()).text.strip()
    assert json.loads(at.paas("inspect", "imported:1").text)[0]["Id"] == id
    place = at.disk / "imported"
    write(place, {"Dockerfile": "FROM imported:1\nRUN echo works\n"})
    assert "works" in at.paas("build", str(place)).text
    assert "damaged" in at.paas("import", "-", "bad:1", input=b"no tar", check=False).error
    at.paas("rmi", "imported:1")


def test_login_keeps_what_the_registry_accepts(at: Machine) -> None:
    registry = start_registry(at, 5001, login=True)
    host = "127.0.0.1:5001"
    try:
        at.paas("tag", "tiny:reg", f"{host}/x:1")
        refused = at.paas("push", f"{host}/x:1", check=False)
        assert refused.status == 1 and f"paas login {host}" in refused.error
        wrong = at.paas("login", "-u", USER, "--password-stdin", host, input=b"wrong\n", check=False)
        assert wrong.status == 1 and "refuses" in wrong.error
        done = at.paas("login", "-u", USER, "--password-stdin", host, input=PASSWORD.encode())
        assert done.text == "Login Succeeded\n"
        at.paas("push", f"{host}/x:1")
        assert (at.data_dir / "registries.json").stat().st_mode & 0o777 == 0o600
        assert at.paas("logout", host).text == f"Removing login credentials for {host}\n"
        assert PASSWORD not in at.engine_log + at.paas("events").text
        assert at.paas("push", f"{host}/x:1", check=False).status == 1
    finally:
        registry.kill()
        registry.wait()
        at.paas("rmi", f"{host}/x:1", check=False)


def test_changes_are_for_admins(at: Machine) -> None:
    client = at.client("nobody-special")
    for words in (["pull", "x"], ["push", "x"], ["rmi", "x"], ["tag", "a", "b"], ["save", "x"], ["images:prune"]):
        assert client.ssh(*words, check=False).status == 1
    assert client.ssh("images").status == 0


def test_disk_usage_and_pruning(at: Machine) -> None:
    lines = at.paas("system:df").text.splitlines()
    assert lines[0].split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "Images",
        "Containers",
        "Local Volumes",
        "Build Cache",
        "Cache Mounts",
    ]
    at.paas("tag", "tiny:reg", "pruned:1")
    assert at.paas("images:prune").text.startswith("Total reclaimed space: ")
    assert ids(at, "pruned:1")
    at.paas("rmi", "pruned:1")


# -- builds -----------------------------------------------------------------------------------------------------------


def push_base(at: Machine, name: str, word: str) -> None:
    place = at.disk / "base"
    write(place, {"Dockerfile": f"FROM tiny:reg\nRUN echo {word} >/word\n"})
    at.paas("build", "-t", name, str(place))
    at.paas("push", name)


def build_from(at: Machine, dockerfile: str, *words: str, check: bool = True) -> Completed:
    place = at.disk / "from"
    write(place, {"Dockerfile": dockerfile})
    return at.paas("build", *words, str(place), check=check)


def test_a_missing_base_image_is_pulled(at: Machine) -> None:
    name = f"{HOST}/base/one:1"
    push_base(at, name, "first")
    at.paas("rmi", name)
    done = build_from(at, f"FROM {name}\nRUN cat /word\n")
    assert "1: Pulling from base/one\n" in done.text and "\nfirst\n" in done.text
    assert "Pulling" not in build_from(at, f"FROM {name}\nRUN cat /word && echo again\n").text

    at.paas("rmi", "--force", name)
    done = build_from(at, f"FROM scratch\nCOPY --from={name} /word /\n")
    assert "1: Pulling from base/one\n" in done.text


def test_pull_takes_a_newer_base_image(at: Machine) -> None:
    name = f"{HOST}/base/two:1"
    push_base(at, f"{HOST}/base/new:1", "new")
    push_base(at, name, "old")
    assert "Pulling" not in build_from(at, f"FROM {name}\nRUN cat /word\n", "--pull").text
    at.run(["skopeo", "copy", "--insecure-policy", *PLAIN, f"docker://{HOST}/base/new:1", f"docker://{name}"])
    assert "\nold\n" in build_from(at, f"FROM {name}\nRUN cat /word && true\n").text
    assert "\nnew\n" in build_from(at, f"FROM {name}\nRUN cat /word && true\n", "--pull").text


def test_what_cannot_be_pulled_names_the_line(at: Machine) -> None:
    for name in (f"{HOST}/base/nothing:1", "127.0.0.1:1/x:1"):
        failed = build_from(at, f"FROM {name}\n", check=False)
        assert failed.status == 1
        assert f"There is no image {name}" in failed.error
        assert "Dockerfile:1" in failed.error or "line 1" in failed.error
    failed = build_from(at, "FROM debian:nosuch\n", check=False)
    assert "paas images:bootstrap debian:nosuch" in failed.error


def test_a_push_does_not_reach_the_hosts_own_registry(at: Machine) -> None:
    name = f"{HOST}/base/private:1"
    push_base(at, name, "private")
    at.paas("rmi", name)
    client = at.client("private-user")
    pushed = client.repository("private", {"Dockerfile": f"FROM {name}\nCMD sh\n"}).push("private", check=False)
    assert pushed.status != 0
    assert "private network" in pushed.error
    at.paas("apps:destroy", "--force", "private")


# -- kill -9, Ctrl-C ---------------------------------------------------------------------------------------------------


def test_an_engine_that_is_killed_while_it_pulls_leaves_nothing(new_machine: MachineMaker) -> None:
    machine = new_machine()
    registry = start_registry(machine)
    machine.paas("import", "-", f"{HOST}/big:1", input=noise_tar(150))
    machine.paas("push", f"{HOST}/big:1", timeout=200)
    machine.paas("rmi", f"{HOST}/big:1")
    machine.paas("builder:prune")
    before = sorted(entry.name for entry in (machine.data_dir / "layers").iterdir())
    with (machine.disk / "said").open("wb") as said:
        pulling = machine.start([PAAS, "pull", f"{HOST}/big:1"], stdout=said, stderr=said)
    scratch, parts = machine.data_dir / "scratch", machine.data_dir / "downloads"
    wait_until(lambda: any(path.stat().st_size > 1 << 20 for path in parts.glob("pull-*/*")), "it downloads")
    machine.engine_kill()
    pulling.wait(20)
    machine.engine_start()
    assert not list(scratch.glob("*"))
    assert sorted(entry.name for entry in (machine.data_dir / "layers").iterdir()) == before
    assert ids(machine, f"{HOST}/big") == []
    machine.paas("pull", f"{HOST}/big:1", timeout=120)
    registry.kill()


def test_ctrl_c_cancels_a_pull(new_machine: MachineMaker) -> None:
    machine = new_machine()
    registry = start_registry(machine)
    machine.paas("import", "-", f"{HOST}/big:1", input=noise_tar(150))
    machine.paas("push", f"{HOST}/big:1", timeout=200)
    machine.paas("rmi", f"{HOST}/big:1")
    machine.paas("builder:prune")
    pulling = machine.start([PAAS, "pull", f"{HOST}/big:1"])
    scratch, parts = machine.data_dir / "scratch", machine.data_dir / "downloads"
    wait_until(lambda: any(path.stat().st_size > 1 << 20 for path in parts.glob("pull-*/*")), "it downloads")
    for pid in Path(f"/proc/{pulling.pid}/task/{pulling.pid}/children").read_text().split() or [str(pulling.pid)]:
        os.kill(int(pid), signal.SIGINT)
    assert pulling.wait(10) == 130
    wait_until(lambda: not list(scratch.glob("*")), "nothing is left")
    assert ids(machine, f"{HOST}/big") == []
    registry.kill()


def noise_tar(megabytes: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("noise")
        info.size = megabytes << 20
        tar.addfile(info, io.BytesIO(os.urandom(info.size)))
    return out.getvalue()


@pytest.fixture(scope="module")
def keeper(machine: Machine) -> Client:
    return machine.client("registry-keeper", admin=True)


@pytest.mark.parametrize("door", ["host", "ssh"])
def test_a_password_typed_at_a_terminal_is_not_shown(at: Machine, keeper: Client, door: str) -> None:
    registry = start_registry(at, 5001, login=True)
    host = "127.0.0.1:5001"
    try:
        with terminal(at, keeper, door, "login", host) as it:
            it.until(b"Username: ")
            it.type(USER.encode() + b"\r")
            it.until(b"Password: ")
            it.type(PASSWORD.encode() + b"\r")
            shown = it.until(b"Login Succeeded")
            assert it.process.wait(10) == 0
        assert USER.encode() in shown and PASSWORD.encode() not in shown
        with terminal(at, keeper, door, "login", "-u", USER, host) as it:
            it.until(b"Password: ")
            it.type(b"\x03")
            assert it.process.wait(10) != 0
        assert at.paas("logout", host).status == 0
        refused = keeper.ssh("login", "-u", USER, host, check=False)
        assert refused.status == 2 and "--password-stdin" in refused.error
    finally:
        registry.kill()
        registry.wait()


def test_search(at: Machine) -> None:
    name = f"{HOST}/team/findable"
    at.paas("tag", "tiny:reg", f"{name}:1")
    at.paas("push", "-q", f"{name}:1")
    header, *lines = at.paas("search", f"{HOST}/indab").text.splitlines()
    assert header.split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert [line.split()[0] for line in lines] == [name]
    assert at.paas("search", "--limit", "1", "--format", "{{.Name}}", f"{HOST}/team/find").text == f"{name}\n"
    assert json.loads(at.paas("search", "--format", "json", f"{HOST}/nothing-like-it").text) == []
    assert at.paas("search", "--limit", "0", f"{HOST}/x", check=False).status == 1
    nobody = at.paas("search", "127.0.0.1:5999/x", check=False)
    assert nobody.status == 1 and "127.0.0.1:5999" in nobody.error
    at.paas("rmi", f"{name}:1")
