"""Docker's words for what lists, names and publishes."""

from __future__ import annotations

import io
import json
import re
import tarfile

import pytest

from paas.containers.ports import exposed
from paas.errors import InvalidInput
from tests.containers.conftest import Paas
from tests.harness.client import Client
from tests.harness.waiting import wait_until
from tests.machine import Machine


def test_short_flags_together_and_several_names(paas: Paas) -> None:
    for name in ("one", "two"):
        paas("run", "-dit", "--name", name, "tiny:1", "sh")
    ids = paas("ps", "-aq").text.split()
    assert len(ids) == 2
    assert paas("stop", "-t0", *ids).text.split() == ids
    assert paas("ps", "-q").text == ""
    assert paas("rm", "-f", *ids).text.split() == ids
    assert paas("ps", "-aq").text == ""


def test_formats_and_filters_of_ps(paas: Paas, stranger: Client) -> None:
    paas("run", "-d", "--name", "up-one", "-l", "team=shop", "-l", "tier=web", "tiny:1", "sleep", "600")
    paas("run", "--name", "down-one", "-l", "team=shop", "tiny:1", "sh", "-c", "exit 3", check=False)

    def names(*filters: str) -> list[str]:
        words = [word for each in filters for word in ("-f", each)]
        return sorted(paas("ps", "-a", *words, "--format", "{{.Names}}").text.split())

    assert paas("ps", "--format", "{{.ID}} {{.Names}}").text == paas("ps", "-q").text.strip() + " up-one\n"
    table = paas("ps", "-a", "--format", "table {{.Names}}\\t{{.Status}}").text.splitlines()
    assert table[0].split() == ["NAMES", "STATUS"] and len(table) == 3
    assert json.loads(paas("ps", "--format", "{{json .}}").text)["Names"] == "up-one"
    assert json.loads(paas("ps", "--format", "json").text)[0]["name"] == "up-one"
    assert names("status=exited") == names("exited=3") == ["down-one"]
    assert names("label=team=shop", "label=tier") == names("name=^up") == names("status=running") == ["up-one"]
    assert names("status=running", "status=exited") == names("ancestor=tiny:1") == ["down-one", "up-one"]
    assert stranger.ssh("ps", "-q", "-f", "name=up").text == paas("ps", "-q").text
    for words in (["-f", "color=red"], ["-f", "status=sad"], ["--format", "{{.Nope}}"], ["-f", "ancestor=nosuch:1"]):
        refused = paas("ps", *words, check=False)
        assert refused.status == 1 and "Internal" not in refused.error, words


def test_formats_of_inspect(paas: Paas) -> None:
    paas("run", "-d", "--name", "seen", "tiny:1", "sleep", "600")

    def shown(template: str) -> str:
        return paas("inspect", "--format", template, "seen").text.strip()

    assert shown("{{.State.Status}}") == "running"
    assert shown("{{.NetworkSettings.IPAddress}}") == shown("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    assert json.loads(shown("{{json .Config}}"))["Cmd"] == ["sleep", "600"]
    assert paas("inspect", "-f", "{{.RepoTags}}", "tiny:1").text.startswith("[tiny:1")
    refused = paas("inspect", "-f", "{{.State.Statuss}}", "seen", check=False)
    assert refused.status == 1 and "there is no field .State.Statuss" in refused.error and ".State" not in refused.text


def test_formats_and_filters_of_images(paas: Paas) -> None:
    id = paas("images", "-q", "tiny:1").text.strip()
    assert (
        paas("images", "-f", "reference=tin*", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}").text == f"{id} tiny:1\n"
    )
    assert paas("images", "-aq").text.split() and paas("image", "ls", "-q", "tiny").text.strip() == id
    assert id not in paas("images", "-qf", "dangling=true").text


def test_another_process_behind(paas: Paas) -> None:
    paas("run", "-d", "--name", "host", "tiny:1", "sleep", "600")
    paas("exec", "-d", "-e", "A=seen", "-w", "/tmp", "host", "sh", "-c", "echo $A >file; sleep 600")
    wait_until(lambda: paas("exec", "host", "cat", "/tmp/file", check=False).text == "seen\n", "it has run")
    assert "sleep 600" in paas("top", "host").text
    assert paas("exec", "-d", "host", "nosuch", check=False).status == 127


@pytest.mark.parametrize("ended", [False, True])
def test_export_and_import_with_changes(paas: Paas, ended: bool) -> None:
    paas(
        "run", "-d", "--name", "whole", "-v", "/kept", "tiny:1", "sh", "-c", "echo x >/new; echo y >/kept/y; sleep 600"
    )
    wait_until(lambda: "/new" in paas("diff", "whole").text, "it has begun")
    if ended:
        paas("stop", "-t", "0", "whole")
    data = paas("export", "whole").stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name.removeprefix("./"): member for member in archive}
    assert members["new"].uid == 0 and members["bin/busybox"].mode & 0o111
    assert "kept/y" not in members and not any(name.startswith("proc/") for name in members)
    lines = ['CMD ["cat", "/new"]', "ENV PATH=/bin", "STOPSIGNAL SIGINT", "HEALTHCHECK CMD true"]
    paas("import", *(word for line in lines for word in ("-c", line)), "-", "taken:1", input=data)
    assert paas("run", "--rm", "taken:1").text == "x\n"
    assert paas("inspect", "-f", "{{.Config.StopSignal}} {{.Config.Healthcheck.Test}}", "taken:1").text == (
        "SIGINT [CMD-SHELL true]\n"
    )
    refused = paas("import", "-c", "RUN true", "-", input=data, check=False)
    assert refused.status == 1 and "cannot be changed without a build" in refused.error
    paas("rm", "-fv", "whole")
    paas("rmi", "taken:1")


def test_host_ports_by_address_range_and_chance(paas: Paas, machine: Machine) -> None:
    serve = "for p in 80 81 82; do mkdir -p /$p; echo at $p >/$p/index.html; httpd -p $p -h /$p; done; sleep 600"
    words = ["-p", "127.0.0.1:7180:80", "-p", "7280-7282:80-82", "-p", "82"]
    paas("run", "-dp", "7480:80", *words, "--name", "served", "tiny:1", "sh", "-c", serve)
    lines = paas("port", "served").text.splitlines()
    chosen = re.fullmatch(r"82/tcp -> 0\.0\.0\.0:(\d+)", lines[-1])
    assert lines[1] == "80/tcp -> 127.0.0.1:7180" and lines[2:5] == [f"8{n}/tcp -> 0.0.0.0:728{n}" for n in range(3)]
    assert chosen and int(chosen[1]) >= 49152
    assert "127.0.0.1:7180->80/tcp" in paas("ps", "--format", "{{.Ports}}").text
    assert paas(
        "inspect", "-f", '{{(index (index .NetworkSettings.Ports "82/tcp") 1).HostPort}}', "served"
    ).text.strip()

    def answer(port: int, host: str = "127.0.0.1") -> str:
        done = machine.run(["curl", "-s", "-m", "5", f"http://{host}:{port}/"], check=False)
        return done.text if done.status == 0 else ""

    wait_until(lambda: answer(7282) == "at 82\n", "it serves")
    assert answer(7180) == answer(7280) == "at 80\n" and answer(int(chosen[1])) == "at 82\n"
    assert answer(7180, machine.address) == "" and answer(7281, machine.address) == "at 81\n"
    for taken in ("7180:1", "127.0.0.1:7180:1", "127.0.0.1:7280:1"):
        refused = paas("run", "-d", "-p", taken, "tiny:1", "sleep", "600", check=False)
        assert refused.status == 1 and "leads to container served" in refused.error
    paas("run", "-d", "--name", "beside", "-p", f"{machine.address}:7180:80", "tiny:1", "sleep", "600")
    assert paas("port", "beside").text == f"80/tcp -> {machine.address}:7180\n"


def test_all_exposed_ports(paas: Paas) -> None:
    paas("run", "--name", "plain", "tiny:1", "sh", "-c", "true")
    paas("commit", "-c", "EXPOSE 80 53/udp", "-c", "CMD sleep 600", "plain", "exposing:1")
    paas("run", "-dP", "-p", "7180:80", "--name", "all", "exposing:1")
    first, second = paas("port", "all").text.splitlines()
    assert first == "80/tcp -> 0.0.0.0:7180" and second.startswith("53/udp -> 0.0.0.0:")
    paas("rm", "-f", "all")
    paas("rmi", "exposing:1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":80",
        "80:",
        "::80",
        "a:80",
        "1-2:80",
        "2-1:2-1",
        "1-2000:1-2000",
        "localhost:80:80",
        "[::1]:80:80",
        "8.8.8.8:80:80",
    ]
    + ["80/sctp", "0:80", "1:70000"],
)
def test_ports_that_cannot_be(text: str) -> None:
    with pytest.raises(InvalidInput):
        exposed([text])
