"""diff, commit and cp, of containers that run and of those that do not."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.containers.conftest import Paas
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine

CHANGE = "mkdir -p /new/deep; echo x >/new/deep/file; echo more >>/etc/group; rm /etc/passwd; chmod 700 /tmp"


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: member for member in archive}


def archive(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid, entry.mode = len(content), 33, 33, 0o640
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture(params=["running", "ended"])
def changed(request: pytest.FixtureRequest, paas: Paas) -> str:
    """The name of a container that has changed files, in both states."""
    paas("run", "-d", "--name", "changed", "-v", "a-volume:/data/volume", "tiny:1", "sh", "-c", f"{CHANGE}; sleep 600")
    wait_until(lambda: "C /tmp" in paas("diff", "changed").text, "it has changed its files")
    if request.param == "ended":
        paas("stop", "-t", "0", "changed")
    return "changed"


def test_diff(paas: Paas, changed: str) -> None:
    assert paas("diff", changed).text.splitlines() == [
        "C /etc",
        "C /etc/group",
        "D /etc/passwd",
        "A /new",
        "A /new/deep",
        "A /new/deep/file",
        "C /tmp",
    ]


def test_a_container_that_changed_nothing_has_no_diff(paas: Paas) -> None:
    paas("run", "--name", "still", "tiny:1", "cat", "/etc/passwd")
    assert paas("diff", "still").text == ""


def test_commit_makes_an_image_of_what_there_is(paas: Paas, changed: str) -> None:
    words = ["-m", "a note", "-a", "somebody", "-c", "ENV A=b", "-c", 'CMD ["cat", "/new/deep/file"]']
    id = paas("commit", *words, changed, "changed-image:2").text.strip()
    assert id.startswith("sha256:")
    assert paas("run", "--rm", "changed-image:2").text == "x\n"
    seen = paas(
        "run", "--rm", "changed-image:2", "sh", "-c", "echo $A; ls -d /etc/passwd /data/volume; tail -n 1 /etc/group"
    )
    assert seen.text == "b\nmore\n"
    assert seen.error.count("No such file") == 2, "neither what was deleted, nor what was only mounted over"
    assert paas("commit", "-c", "FROM other", changed, "bad:1", check=False).status == 1
    assert paas("commit", "-c", "RUN true", changed, "bad:1", check=False).status == 1
    assert "\nbad " not in paas("images:list").text


def test_an_archive_comes_out_with_owners_as_the_container_knows_them(paas: Paas, changed: str) -> None:
    found = members(paas("cp", f"{changed}:/new", "-").stdout)
    assert set(found) == {"new", "new/deep", "new/deep/file"}
    assert (found["new/deep/file"].uid, found["new/deep/file"].gid) == (0, 0)
    assert set(members(paas("cp", f"{changed}:/new/deep/file", "-").stdout)) == {"file"}
    missing = paas("cp", f"{changed}:/nothing", "-", check=False)
    assert missing.status == 1 and "'/nothing' does not exist" in missing.error


def test_an_archive_goes_in_and_never_outside(paas: Paas, changed: str, machine: Machine) -> None:
    paas("cp", "-", f"{changed}:/new", input=archive(sent=b"content"))
    sent = members(paas("cp", f"{changed}:/new/sent", "-").stdout)["sent"]
    assert (sent.uid, sent.gid, sent.mode, sent.size) == (33, 33, 0o640, 7)
    assert paas("cp", "-", f"{changed}:/nowhere", input=archive(a=b""), check=False).status == 1
    assert paas("cp", "-", f"{changed}:/new/deep/file", input=archive(a=b""), check=False).status == 1
    assert paas("cp", "-", f"{changed}:/new", input=archive(**{"../../out": b""}), check=False).status == 1
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as tar:
        entry = tarfile.TarInfo("way-out")
        entry.type, entry.linkname = tarfile.SYMTYPE, str(machine.disk)
        tar.addfile(entry)
    paas("cp", "-", f"{changed}:/new", input=link.getvalue())
    paas("cp", "-", f"{changed}:/new/way-out", input=archive(escaped=b""), check=False)
    assert not (machine.disk / "escaped").exists()


def test_paths_of_the_host(paas: Paas, changed: str, machine: Machine, tmp_path_of: Path) -> None:
    here = tmp_path_of
    paas("cp", f"{changed}:/new", str(here))
    assert (here / "new" / "deep" / "file").read_text() == "x\n"
    paas("cp", f"{changed}:/new", f"{here}/renamed")
    assert (here / "renamed" / "deep" / "file").read_text() == "x\n"
    paas("cp", f"{changed}:/new/deep/file", f"{here}/plain")
    assert (here / "plain").read_text() == "x\n"
    paas("cp", f"{changed}:/new/.", f"{here}/renamed")
    (here / "plain").write_text("from the host\n")
    paas("cp", f"{here}/plain", f"{changed}:/new/deep/file")
    paas("cp", f"{here}/plain", f"{changed}:/tmp")
    paas("cp", f"{here}/renamed", f"{changed}:/tmp/dir")
    assert set(members(paas("cp", f"{changed}:/tmp/.", "-").stdout)) >= {"plain", "dir", "dir/deep", "dir/deep/file"}
    paas("cp", f"{changed}:/new/deep/file", f"{here}/back")
    assert (here / "back").read_text() == "from the host\n"
    assert paas("cp", str(here), f"{changed}:/new/deep/file", check=False).status == 1
    assert paas("cp", f"{here}/plain", f"{changed}:/not/there/", check=False).status == 1


def test_a_whole_root(paas: Paas, changed: str, tmp_path_of: Path) -> None:
    names = set(members(paas("cp", f"{changed}:/", "-").stdout))
    assert {"bin/busybox", "new/deep/file", "etc/group"} <= names
    assert not [name for name in names if name.startswith(("proc/", "sys/"))]
    paas("cp", f"{changed}:/", f"{tmp_path_of}/root")
    assert (tmp_path_of / "root" / "new" / "deep" / "file").read_text() == "x\n"


def test_copies_over_ssh(paas: Paas, changed: str, keeper: Client) -> None:
    keeper.ssh("cp", "-", f"{changed}:/new", input=archive(far=b"over ssh"))
    assert set(members(keeper.ssh("cp", f"{changed}:/new/far", "-").stdout)) == {"far"}
    refused = keeper.ssh("cp", f"{changed}:/new", ".", check=False)
    assert refused.status == 1 and "- >FILE.tar" in refused.error


def test_a_started_container_has_what_was_copied_into_it(paas: Paas) -> None:
    paas("run", "--name", "filled", "tiny:1", "sh", "-c", "cat /sent 2>/dev/null; echo end")
    paas("cp", "-", "filled:/", input=archive(sent=b"by hand\n"))
    assert paas("start", "-a", "filled").text == "by hand\nend\n"


def test_inspect_top_and_stats(paas: Paas) -> None:
    words = ["--name", "seen", "-u", "nobody", "-p", "7010:80", "--memory", "64m", "--label", "a=b", "-e", "K=v"]
    id = paas("run", "-d", *words, "tiny:1", "sleep", "600").text.strip()
    (seen,) = json.loads(paas("inspect", "seen").text)
    assert (seen["Id"], seen["Name"], seen["Path"], seen["Args"]) == (id, "/seen", "sleep", ["600"])
    assert seen["State"]["Running"] and seen["State"]["Pid"]
    assert seen["HostConfig"]["Memory"] == 64 << 20
    assert seen["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "7010"}]}
    assert seen["Config"]["Labels"] == {"a": "b"} and "K=v" in seen["Config"]["Env"]
    header, line = paas("top", "seen").text.splitlines()
    assert header.split() == ["UID", "PID", "PPID", "STIME", "TTY", "TIME", "CMD"]
    assert line.split()[0] == "65534" and line.endswith("sleep 600")
    header, line = paas("stats", "--no-stream", "seen").text.splitlines()
    assert header.startswith("CONTAINER ID   NAME") and " / 64.0 MiB" in line and line.endswith("   1")
    paas("stop", "-t", "0", "seen")
    assert paas("top", "seen", check=False).status == 1
    assert json.loads(paas("inspect", "seen").text)[0]["State"]["ExitCode"] == 137


def test_only_admins_see_the_values_of_variables(paas: Paas, machine: Machine) -> None:
    paas("run", "--name", "secretive", "-e", "TOKEN=sesame", "tiny:1", "id")
    assert "TOKEN=sesame" in paas("inspect", "secretive").text
    seen = machine.client("onlooker").ssh("inspect", "secretive").text
    assert "TOKEN=*****" in seen and "sesame" not in seen


def test_a_name_that_would_be_a_process_of_an_app_is_refused(paas: Paas) -> None:
    refused = paas("run", "--name", "wiki.web.1", "tiny:1", "pwd", check=False)
    assert refused.status == 1 and "processes of apps" in refused.error
