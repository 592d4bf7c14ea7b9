"""The test machine itself, with ordinary programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.errors import SystemFailure
from paas.system import run as system
from tests.harness.leftovers import leftovers
from tests.harness.waiting import wait_until
from tests.machine import Machine


@pytest.fixture
def bare() -> Iterator[Machine]:
    with Machine() as machine:
        yield machine


def serve(machine: Machine, port: int) -> system.Process:
    return machine.start(["busybox", "httpd", "-f", "-p", str(port), "-h", str(machine.disk)])


def test_a_server_on_a_well_known_port_is_reached_from_outside_and_inside(bare: Machine) -> None:
    (bare.disk / "index.html").write_text("here")
    serve(bare, 80)

    def answers() -> bool:
        try:
            return bare.get("any").text == "here"
        except OSError:
            return False

    wait_until(answers, "the server answers from outside")
    assert bare.get_inside("any").text == "here"
    assert bare.get("any", "/missing").status == bare.get_inside("any", "/missing").status == 404


def test_it_sees_its_own_processes_and_links_only(bare: Machine) -> None:
    assert len(bare.run(["ps", "-e", "-o", "pid="]).text.split()) <= 3  # init, ps, and at most one that ends just now
    assert bare.run(["ip", "-o", "link"]).text.count("\n") == 2
    assert bare.run(["hostname"]).text.strip() == bare.name
    assert bare.run(["nft", "list", "ruleset"]).text == ""


def test_commands_get_input_user_and_environment_and_tell_how_they_failed(bare: Machine) -> None:
    assert bare.run(["cat"], input=b"in").stdout == b"in"
    assert bare.run(["id", "-un"], user="nobody").text == "nobody\n"
    assert f"PAAS_CGROUP={bare.name}\n" in bare.run(["env"]).text
    assert bare.run(["false"], check=False).status == 1
    with pytest.raises(SystemFailure, match="nowhere"):
        bare.run(["ls", "/nowhere"])


def test_it_reaches_what_the_host_reaches(bare: Machine) -> None:
    curl = ["curl", "--silent", "--output", "/dev/null", "--max-time", "20", "http://deb.debian.org/"]
    if system.run(curl, check=False).status != 0:
        pytest.skip("the host itself does not reach deb.debian.org")
    bare.run(curl)


def test_power_off_ends_everything_and_the_disk_stays(bare: Machine) -> None:
    server = serve(bare, 8080)
    bare.data_dir.mkdir()
    (bare.data_dir / "file").write_text("kept")
    pin = bare.run_dir / "pin"
    bare.run(["mkdir", str(bare.run_dir)])
    bare.run(["touch", str(pin)])
    bare.run(["unshare", f"--net={pin}", "true"])
    assert bare.run(["stat", "-f", "-c", "%T", str(pin)]).text.strip() == "nsfs"

    bare.power_off()

    assert server.wait(5) != 0
    assert not [left for left in leftovers(bare.token) if not left.startswith(("directory", "nft"))]
    assert not bare.run_dir.exists()
    bare.boot()
    assert bare.run(["cat", str(bare.data_dir / "file")]).text == "kept"
    assert bare.run(["ls", str(bare.run_dir)], check=False).status != 0


def test_power_off_removes_cgroups_with_processes_in_them(bare: Machine) -> None:
    root = Path("/sys/fs/cgroup")
    tree = root if (root / "cgroup.controllers").exists() else root / "pids"
    inner = tree / bare.name / "inner"
    bare.run(["mkdir", "-p", str(inner)])
    sleeper = bare.start(["sleep", "infinity"])
    bare.run(["busybox", "sh", "-c", 'pidof sleep > "$1"/cgroup.procs', "sh", str(inner)])
    assert (inner / "cgroup.procs").read_text().strip()

    bare.power_off()

    assert sleeper.wait(5) != 0
    assert not (tree / bare.name).exists()


def test_two_machines_stand_side_by_side_and_leave_nothing() -> None:
    with Machine() as one, Machine() as other:
        tokens = one.token, other.token
        assert one.address != other.address
        assert one.settings.uid_base != other.settings.uid_base
        assert leftovers(one.token)
        one.run(["mount", "-t", "tmpfs", "tmpfs", str(one.disk)])
        one.run(["nft", "add", "table", "inet", f"t{one.token}"])
    assert [left for token in tokens for left in leftovers(token)] == []
