"""Volumes: filled from images, shared by name, and gone when they should be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.build.conftest import write
from tests.containers.conftest import Paas
from tests.harness.client import Client
from tests.machine import Machine


@pytest.fixture
def shop(machine: Machine, paas: Paas) -> Iterator[Paas]:
    """Images `shop:1`, with a VOLUME that has files of somebody's, and `shop:2`, whose VOLUME is new."""
    place = machine.disk / "shop"
    if not place.exists():
        script = "mkdir -p /data/deep && echo first >/data/deep/file && chown -R 33:34 /data && chmod 750 /data"
        write(place, {"Dockerfile": f"FROM tiny:1\nRUN {script}\nVOLUME /data\nCMD sleep 600\n"})
        paas("build", "-t", "shop:1", str(place))
        write(place, {"Dockerfile": "FROM tiny:1\nVOLUME /empty /data\nCMD sleep 600\n"})
        paas("build", "-t", "shop:2", str(place))
    paas("volume", "prune", "-a", "-f")
    yield paas
    paas("rm", "-f", *paas("ps", "-aq").text.split(), check=False)
    paas("volume", "prune", "-a", "-f")


def volumes(paas: Paas) -> list[str]:
    return paas("volume", "ls", "-q").text.split()


def test_an_image_s_volume_has_its_files_and_their_owners(shop: Paas) -> None:
    shop("run", "-d", "--name", "one", "shop:1")
    assert shop("exec", "one", "stat", "-c", "%u:%g %a", "/data").text == "33:34 750\n"
    assert shop("exec", "one", "stat", "-c", "%u:%g", "/data/deep/file").text == "33:34\n"
    shop("exec", "one", "sh", "-c", "echo more >>/data/deep/file")
    assert shop("diff", "one").text == "", "the volume is no part of the container"
    mount = json.loads(shop("inspect", "-f", "{{json .Mounts}}", "one").text)[0]
    assert (mount["Type"], mount["Destination"], mount["RW"]) == ("volume", "/data", True)
    assert re.fullmatch("[0-9a-f]{64}", mount["Name"]) and volumes(shop) == [mount["Name"]]
    shop("restart", "-t", "0", "one")
    assert shop("exec", "one", "cat", "/data/deep/file").text == "first\nmore\n"
    refused = shop("volume", "rm", mount["Name"], check=False)
    assert refused.status == 1 and "container one" in refused.error
    shop("rm", "-f", "one")
    assert volumes(shop) == [mount["Name"]], "without -v it stays"
    assert mount["Name"] in shop("volume", "prune", "-f").text and volumes(shop) == []


def test_they_go_with_rm_v_and_run_rm(shop: Paas) -> None:
    assert shop("run", "--rm", "shop:1", "cat", "/data/deep/file").text == "first\n"
    assert shop("run", "--rm", "-v", "/more", "shop:2", "ls", "/more", "/empty").status == 0
    assert volumes(shop) == []
    shop("run", "-d", "--name", "one", "-v", "named:/more", "shop:2")
    assert len(volumes(shop)) == 3
    shop("rm", "-f", "-v", "one")
    assert volumes(shop) == ["named"], "one with a name stays"


def test_a_named_volume_is_filled_once_while_it_is_empty(shop: Paas) -> None:
    assert shop("volume", "create", "pages").text == "pages\n"
    assert shop("run", "--rm", "-v", "pages:/data", "shop:1", "cat", "/data/deep/file").text == "first\n"
    shop("run", "--rm", "-v", "pages:/data", "shop:1", "rm", "/data/deep/file")
    assert shop("run", "--rm", "-v", "pages:/data:ro", "shop:1", "ls", "/data/deep").text == ""
    shown = json.loads(shop("volume", "inspect", "pages").text)[0]
    assert shown["Name"] == "pages" and shown["Mountpoint"].endswith("/storage/pages") and shown["UsedBy"] == []
    assert shop("volume", "rm", "pages").text == "pages\n" and volumes(shop) == []


def test_one_of_an_app_is_in_use(shop: Paas) -> None:
    shop("apps:create", "keeper")
    shop("storage:mount", "keeper", "of-an-app:/data")
    refused = shop("volume", "rm", "of-an-app", check=False)
    assert refused.status == 1 and "in use by app keeper" in refused.error
    assert "of-an-app" not in shop("volume", "prune", "-a", "-f").text
    shop("apps:destroy", "keeper", "--force")
    assert shop("volume", "rm", "of-an-app").text == "of-an-app\n"


def test_what_cannot_be(shop: Paas, keeper: Client, stranger: Client) -> None:
    for words in (["rm", "nosuch"], ["create", "../x"], ["create", ".x"], ["inspect", "../../etc"], ["rm", ".."]):
        assert shop("volume", *words, check=False).status == 1, words
    file = shop("run", "-v", "some:/bin/busybox", "tiny:1", "sh", check=False)
    assert file.status == 1 and "no directory in the image" in file.error
    assert shop("ps", "-aq").text == "" and "some" in volumes(shop)
    assert keeper.ssh("volume", "ls").text.split()[:3] == ["DRIVER", "VOLUME", "NAME"]
    assert stranger.ssh("volume", "rm", "some", check=False).status == 1


def test_a_single_file_of_the_host(paas: Paas, machine: Machine) -> None:
    file = machine.disk / "one-file"
    file.write_text("of the host\n")
    words = ["-v", f"{file}:/etc/new/file", "-v", f"{file}:/etc/group:ro", "tiny:1", "sh", "-c"]
    script = "cat /etc/new/file /etc/group; echo in >>/etc/new/file; echo no >>/etc/group || echo refused"
    assert paas("run", "--rm", *words, script).text == "of the host\nof the host\nrefused\n"
    assert file.read_text() == "of the host\nin\n"
