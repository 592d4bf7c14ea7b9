"""Paths that an attacker names, or has made inside: they lead nowhere but into the container."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import BASE_IMAGE
from tests.containment.conftest import SECRET, SERVER, Inside, Victims
from tests.harness.client import Client
from tests.machine import Machine


@pytest.fixture
def outside(machine: Machine) -> Path:
    """A directory of the host that holds a secret."""
    place = machine.disk / "outside"
    place.mkdir(exist_ok=True)
    (place / "secret").write_text(SECRET)
    place.chmod(0o777)
    return place


@pytest.fixture(scope="session")
def stranger(machine: Machine) -> Client:
    """Someone whose key is no admin's."""
    return machine.client("containment")


@pytest.fixture
def container(machine: Machine) -> Iterator[str]:
    name = "trap"
    machine.paas("run", "-d", "--name", name, BASE_IMAGE, "sleep", "600")
    yield name
    machine.paas("rm", "-f", name)


def test_a_link_in_a_volume_is_not_mounted(machine: Machine, stranger: Client, outside: Path) -> None:
    """What a container makes in its volume, its owner names as a directory to be mounted."""
    kept = machine.data_dir / "storage" / "lure"
    stranger.repository("lure", SERVER).push("lure")
    try:
        stranger.ssh("storage:mount", "lure", "lure:/data")
        stranger.ssh("run", "lure", "ln", "-s", str(outside), "/data/way")
        for source in (kept / "way", kept / "way" / "deep"):
            refused = stranger.ssh("storage:mount", "lure", f"{source}:/host", check=False)
            assert refused.status != 0 and "symlink" in refused.error
        assert not (outside / "deep").exists()
        # One who swaps the directory after it was looked at.
        stranger.ssh("storage:mount", "lure", f"{kept / 'dir'}:/host")
        stranger.ssh(
            "run", "lure", "sh", "-c", f"umount /host; rmdir /data/dir && ln -s {outside} /data/dir", check=False
        )
        if not (kept / "dir").is_symlink():  # as a neighbour that shares the volume would do it
            (kept / "dir").rmdir()
            (kept / "dir").symlink_to(outside)
        looked = stranger.ssh("run", "lure", "cat", "/host/secret", check=False)
        assert looked.status != 0 and SECRET not in looked.text and "no directory" in looked.error
    finally:
        machine.paas("apps:destroy", "lure", "--force")


def test_volumes_are_out_of_reach_for_users_of_the_host(machine: Machine) -> None:
    """A container's root may leave a set-id program of root's there."""
    machine.paas("run", "--rm", "-v", "tools:/t", BASE_IMAGE, "sh", "-c", "cp /usr/bin/id /t/; chmod 4755 /t/id")
    program = machine.data_dir / "storage" / "tools" / "id"
    assert program.stat().st_uid == 0 and program.stat().st_mode & 0o4000
    assert machine.run(["sh", "-c", str(program)], user="paas", check=False).status != 0


@pytest.mark.parametrize(
    "word",
    [
        "/:/host",
        "/etc:/etc",
        "..:/x",
        "../../etc:/x",
        "a/../../..:/x",
        "x:/proc",
        "x:/proc/self",
        "x:/sys/fs",
        "x:/dev",
        "x:/",
        "x:/a/../..",
        "x:relative",
        "-rf:/x",
        "a\nb:/x",
        "x:/y:rw,dev",
        "x:/y:shared",
        ".:/x",
        ":/x",
        "x:",
    ],
)
def test_mounts_that_a_stranger_may_not_have(machine: Machine, stranger: Client, word: str, victims: Victims) -> None:
    before = machine.paas("storage:list", "bystander").text
    assert stranger.ssh("storage:mount", "bystander", "--", word, check=False).status != 0
    assert machine.paas("storage:list", "bystander").text == before


@pytest.mark.parametrize(
    "words",
    [
        ("run", "-v", "/:/host", BASE_IMAGE, "true"),
        ("run", "--network", "host", BASE_IMAGE, "true"),
        ("run", "--privileged", BASE_IMAGE, "true"),
        ("run", "--device", "/dev/mem", BASE_IMAGE, "true"),
        ("run", "--cap-add", "SYS_ADMIN", BASE_IMAGE, "true"),
        ("run", "--security-opt", "seccomp=unconfined", BASE_IMAGE, "true"),
        ("run", "--pid", "host", BASE_IMAGE, "true"),
        ("run", "-v", "/:/host", "bystander", "true"),
        ("run", "--cap-add", "CHOWN", "bystander", "true"),
        ("run", "--network", "none", "bystander", "true"),
        ("run", "-u", "root", "bystander", "true"),
        ("exec", "bystander.web.1", "true"),
        ("cp", "bystander.web.1:/etc/passwd", "-"),
        ("cp", "-", "bystander.web.1:/etc"),
        ("commit", "bystander.web.1", "stolen"),
        ("attach", "bystander.web.1"),
    ],
    ids=" ".join,
)
def test_what_a_stranger_may_not_do(stranger: Client, words: tuple[str, ...], victims: Victims) -> None:
    assert stranger.ssh(*words, check=False).status != 0


@pytest.mark.parametrize(
    "words",
    [
        ("--privileged",),
        ("--device", "/dev/mem"),
        ("--network", "host"),
        ("--pid", "host"),
        ("--cap-add", "SYS_ADMIN"),
        ("--cap-add", "SYS_PTRACE"),
        ("--cap-add", "BPF"),
    ],
    ids=" ".join,
)
def test_what_not_even_an_administrator_gets(machine: Machine, words: tuple[str, ...]) -> None:
    assert machine.paas("run", "--rm", *words, BASE_IMAGE, "true", check=False).status != 0


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", "a\nb", "x" * 300, "a b", "$(id)", "..", ""])
def test_names_of_containers(machine: Machine, name: str) -> None:
    for flag in ("--name", "--hostname"):
        assert machine.paas("run", "--rm", flag, name, BASE_IMAGE, "true", check=False).status != 0


def test_variables_do_not_become_others(inside: Inside) -> None:
    text = inside(
        "-e", "A=1\nLD_PRELOAD=/x", "-e", "B=\x1b]0;x", "perl -e 'print join qq(|), $ENV{A}, $ENV{LD_PRELOAD} // q(-)'"
    )
    assert text == "1\nLD_PRELOAD=/x|-"


def _tar(name: str, text: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def test_copies_stay_inside(machine: Machine, container: str, outside: Path) -> None:
    """Both while the container runs and after it, through links and the kernel's magic ones."""
    deep = "../" * 20
    links = {"/a": outside, "/b": f"{deep}{outside}", "/c": f"/proc/1/root{outside}", "/d": f"/proc/self/cwd{outside}"}
    made = "; ".join(f"ln -s {target} {link}" for link, target in links.items())
    machine.paas("exec", container, "sh", "-c", f"{made}; rm -rf /srv; ln -s {outside} /srv; mkfifo /pipe")
    for _ in ("running", "ended"):
        for place in ("/a", "/b", "/c", "/d", "/srv", deep + str(outside), f"/proc/1/root{outside}"):
            machine.paas("cp", "-", f"{container}:{place}", input=_tar("planted", "x"), check=False)
            done = machine.paas("cp", f"{container}:{place}/secret", "-", check=False)
            assert SECRET.encode() not in done.stdout, place
            machine.paas("cp", "/etc/hostname", f"{container}:{place}", check=False)
        done = machine.paas("cp", f"{container}:/a", "-", check=False)
        assert SECRET.encode() not in done.stdout
        machine.paas("cp", f"{container}:/pipe", "-", check=False)
        assert sorted(path.name for path in outside.iterdir()) == ["secret"]
        machine.paas("stop", "-t", "0", container)


def test_accounts_that_are_no_file(machine: Machine, container: str, outside: Path) -> None:
    """/etc/passwd as a pipe, or as a link out: whoever looks up a user neither waits for ever nor reads the host's."""
    (outside / "passwd").write_text("intruder:x:7:7::/:/bin/sh\n")
    for made in ("mkfifo /etc/passwd", f"ln -s {outside}/passwd /etc/passwd", "ln -s /dev/zero /etc/passwd"):
        machine.paas("exec", container, "sh", "-c", f"rm -f /etc/passwd; {made}")
        assert machine.paas("exec", "-u", "intruder", container, "true", check=False, timeout=20).status != 0
    (outside / "passwd").unlink()


def test_a_commit_of_an_app_that_plays_with_links(machine: Machine, outside: Path, victims: Victims) -> None:
    """An app's container goes on during a commit: a directory may be a link out by the time it is entered."""
    inside = f"/d; for n in $(seq 200); do echo x >/d/$n; done; rm -rf /e; echo y >/d/secret; ln -s {outside} /l"
    swap = "while [ ! -e /stop ]; do mv -T /d /e; mv -T /l /d; mv -T /d /l; mv -T /e /d; done"
    machine.paas("exec", "bystander.web.1", "sh", "-c", f"mkdir -p {inside}; rm -f /stop; ({swap}) >/dev/null 2>&1 &")
    try:
        for number in range(4):
            done = machine.paas("commit", "bystander.web.1", f"swapped:{number}", check=False)
            if done.status == 0:
                seen = machine.paas("run", "--rm", f"swapped:{number}", "cat", "/d/secret", "/e/secret", check=False)
                assert SECRET not in seen.text
                machine.paas("rmi", f"swapped:{number}")
    finally:
        machine.paas("exec", "bystander.web.1", "sh", "-c", "touch /stop; until rm -rf /d /e /l; do sleep 0.1; done")
    machine.paas(
        "exec", "bystander.web.1", "sh", "-c", "rm -f /etc/issue; rm -rf /opt; mkdir /opt; echo kept >/opt/kept"
    )
    machine.paas("commit", "bystander.web.1", "quiet:1")
    looked = machine.paas("run", "--rm", "quiet:1", "sh", "-c", "cat /opt/kept; ls /etc/issue", check=False)
    assert looked.text == "kept\n" and looked.status != 0
    machine.paas("rmi", "quiet:1")
