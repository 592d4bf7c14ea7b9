"""What `run` is told, as the process inside finds it."""

from __future__ import annotations

import json

import pytest

from paas.containers.ports import exposed
from paas.errors import InvalidInput, PaasError
from paas.paths import PROJECT
from paas.runtime import asking
from tests.containers.conftest import Paas
from tests.machine import Machine

_PAAS = (str(PROJECT / "scripts" / "paas"),)


def inside(paas: Paas, *words: str) -> str:
    """What a container prints; the words are flags, the last one is a script."""
    flags, script = words[:-1], words[-1]
    return paas("run", "--rm", *flags, "tiny:1", "sh", "-c", script).text


def test_user_directory_variables_and_names(paas: Paas) -> None:
    seen = inside(
        paas, "-u", "nobody", "-w", "/new/place", "-e", "A=b c", "--hostname", "called", "id -u; pwd; echo $A"
    )
    assert seen == "65534\n/new/place\nb c\n"
    assert inside(paas, "--hostname", "called", "cat /etc/hostname; echo $HOSTNAME $HOME") == "called\ncalled /root\n"


def test_variables_from_a_file_and_from_where_it_was_typed(paas: Paas, machine: Machine) -> None:
    file = machine.disk / "variables"
    file.write_text("# a comment\n\nONE=1\nTWO=two words\n")
    assert inside(paas, "--env-file", str(file), "-e", "TWO=2", "echo $ONE $TWO") == "1 2\n"
    done = machine.run(
        [
            "env",
            "TAKEN=along",
            "NOT=this",
            *_PAAS,
            "run",
            "--rm",
            "-e",
            "TAKEN",
            "tiny:1",
            "sh",
            "-c",
            "echo $TAKEN $NOT",
        ]
    )
    assert done.text == "along\n"


def test_another_process_has_variables_of_its_own(paas: Paas) -> None:
    paas("run", "-d", "--name", "host", "-e", "A=old", "-e", "B=kept", "tiny:1", "sleep", "600")
    words = ["exec", "-e", "A=new", "-u", "nobody", "-w", "/tmp", "host"]
    assert paas(*words, "sh", "-c", "env | grep -c ^A=; echo $A $B; id -u; pwd").text == "1\nnew kept\n65534\n/tmp\n"
    assert paas("exec", "-i", "host", "cat", input=b"typed").text == "typed"
    assert paas("exec", "host", "cat", input=b"not asked for").text == ""
    assert paas("exec", "host", "sh", "-c", "exit 9", check=False).status == 9
    assert paas("exec", "host", "nosuch", check=False).status != 0
    assert paas("exec", "-u", "nosuch", "host", "id", check=False).status == 1


def test_volumes(paas: Paas, machine: Machine) -> None:
    place = machine.disk / "host-directory"
    place.mkdir()
    inside(paas, "-v", f"{place}:/data", "-v", "kept-by-name:/more", "echo here >/data/file; echo there >/more/file")
    assert (place / "file").read_text() == "here\n" and (place / "file").stat().st_uid == 0
    assert (
        inside(paas, "-v", "kept-by-name:/more:ro", "cat /more/file; touch /more/x || echo refused")
        == "there\nrefused\n"
    )
    assert paas("run", "-v", "/does/not/exist:/data", "tiny:1", "sh", check=False).status == 1


def test_limits(paas: Paas) -> None:
    assert paas("run", "--memory", "16m", "--name", "small", "tiny:1", "sort", "/dev/zero", check=False).status == 137
    assert json.loads(paas("inspect", "small").text)[0]["State"]["OOMKilled"]
    assert inside(paas, "--cpus", "0.5", "echo fine") == "fine\n"


def test_read_only_and_no_network(paas: Paas) -> None:
    assert inside(paas, "--read-only", "touch /x 2>/dev/null || echo refused") == "refused\n"
    assert "eth0" not in inside(paas, "--network", "none", "cat /proc/net/dev")
    assert "eth0" in inside(paas, "cat /proc/net/dev")
    assert paas("run", "--network", "none", "-p", "7100:1", "tiny:1", "sh", check=False).status == 1


def test_capabilities(paas: Paas) -> None:
    effective = "grep CapEff /proc/self/status"
    assert inside(paas, "--cap-drop", "ALL", effective).split()[1] == "0" * 16
    assert inside(paas, "--cap-drop", "ALL", "--cap-add", "net_raw", effective).split()[1] == "0000000000002000"
    assert inside(paas, "--cap-drop", "CHOWN", "chown 1 /tmp 2>/dev/null || echo refused") == "refused\n"
    refused = paas("run", "--cap-add", "SYS_ADMIN", "tiny:1", "sh", check=False)
    assert refused.status == 1 and "They may have: CHOWN" in refused.error


def test_entrypoint_and_init(paas: Paas) -> None:
    assert paas("run", "--rm", "--entrypoint", "echo", "tiny:1", "one", "two").text == "one two\n"
    assert inside(paas, "readlink /proc/1/exe") == "/bin/busybox\n"
    assert inside(paas, "--init", "readlink /proc/1/exe") != "/bin/busybox\n"


def test_what_is_no_image_is_told(paas: Paas) -> None:
    done = paas("run", "tinny:1", "sh", check=False)
    assert done.status == 1 and "tiny:1" in done.error
    assert paas("run", "tiny:1", check=False).status == 1, "there is no command"
    neither = paas("run", "nosuchapp", "ls", check=False)
    assert neither.status == 20 and "neither an app nor an image nosuchapp" in neither.error


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (asking.memory, "64"),
        (asking.memory, "1x"),
        (asking.cpus, "0"),
        (asking.cpus, "many"),
        (asking.restart, "sometimes"),
        (asking.restart, "always:3"),
        (asking.restart, "on-failure:"),
        (asking.network, "host"),
        (asking.hostname, "-x"),
        (asking.capability, "SYS_PTRACE"),
    ],
)
def test_refused(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(InvalidInput) as error:
        parse(text)
    assert error.value.hint


def test_values() -> None:
    assert (asking.memory("64m"), asking.memory("1.5g"), asking.memory("8192kb")) == (64 << 20, 3 << 29, 8 << 20)
    assert str(asking.restart("on-failure:3")) == "on-failure:3"
    assert asking.capabilities([], []) is None
    assert [str(port) for port in exposed(["80:8080", "53:5/udp"])] == ["tcp:80:8080", "udp:53:5"]
    for texts in ([":80"], ["1.2.3.4:80:80"], ["80:80", "80:81"], ["70000:1"], ["80:80/sctp"]):
        with pytest.raises(PaasError):
            exposed(texts)
