"""git:from-archive, git:from-image and git:load-image through the front door."""

from __future__ import annotations

import json
import struct
import tarfile
from collections.abc import Callable, Iterator

import pytest

from tests.build.conftest import write
from tests.harness.apps import busybox_root, httpd
from tests.harness.client import Client, Files
from tests.machine import Machine

from .conftest import Elsewhere
from .files import link, report, tar, zipped

AppMaker = Callable[[str], str]


def below(directory: str, files: Files) -> dict[str, bytes | str]:
    return {f"{directory}/{name}": content for name, content in files.items()}


def test_archives_from_the_input_and_from_an_address(
    machine: Machine, elsewhere: Elsewhere, boss: Client, dev: Client, app: AppMaker
) -> None:
    name = app("archived")
    plain = tar({**httpd("from tar"), ".git/config": "[core]"}, link("same.html", "index.html", tarfile.LNKTYPE))
    done = dev.ssh("git:from-archive", name, "--", input=plain)
    assert "Application deployed" in done.text and "1 entries are left out" in done.error
    assert machine.get(name).text == "from tar\n"
    again = dev.ssh("git:from-archive", name, "--", input=plain)
    assert "Nothing has changed" in again.text and "ps:rebuild archived" in again.text

    awkward = {**below("wiki-1.2", httpd("from gz")), 'wiki-1.2/a "b"\n\xe9': "x"}
    (elsewhere.directory / "wiki.tar.gz").write_bytes(tar(awkward, mode="w:gz"))
    boss.ssh("git:from-archive", "--archive-type", "tar.gz", name, elsewhere.url("wiki.tar.gz"), "O'Neil", "o@x.org")
    assert machine.get(name).text == "from gz\n"
    boss.ssh("git:from-archive", name, "--", input=zipped(below("top", httpd("from zip"))))
    assert machine.get(name).text == "from zip\n"
    boss.ssh("ps:rebuild", name)
    log = boss.repository("archive-copy")
    log.git("fetch", "--quiet", boss.url(name), "master:there")
    assert log.git("log", "--format=%cn <%ce>", "there").text.splitlines()[1] == "O'Neil <o@x.org>"
    listed = log.git("ls-tree", "-r", "--name-only", "-z", "there~1").text
    assert 'a "b"\n\xe9' in listed and "Dockerfile" in listed.split("\0")
    assert report(machine, name)["git-source-image"] == ""


HOSTILE = {
    "leads outside": tar({"../../etc/cron.d/x": "x", "Dockerfile": "FROM scratch\n"}),
    "is an absolute path": tar({"/etc/passwd": "x"}),
    "goes through a symlink": tar(
        {"Dockerfile": "FROM scratch\n"}, link("x", "/etc"), _x := tarfile.TarInfo("x/passwd")
    ),
    "has a hard link to outside": tar({}, link("x", "/etc/shadow", tarfile.LNKTYPE)),
    "has a hard link to nothing": tar({}, link("x", "y", tarfile.LNKTYPE)),
    "is empty": tar({}),
    "is no archive": b"#!/bin/sh\nrm -rf /\n" * 100,
    "ends early": tar({"a": b"x" * 100_000})[:50_000],
    "has only devices": tar({}, link("dev", "", tarfile.CHRTYPE)),
    "has many files": tar({f"f{number}": "" for number in range(40)}),
    "is large where it is left out": tar({".git/x": b"\0" * 5_000_000}, mode="w:gz"),
    "is large": tar({"a": b"\0" * 5_000_000}, mode="w:gz"),
    "is a large zip": zipped({"a": b"\0" * 5_000_000}),
    "has many files in a zip": zipped({f"f{number}": "" for number in range(40)}),
    "leads outside in a zip": zipped({"../x": "x"}),
    "has backslashes": zipped({"..\\x": "x"}),
    "lies about its size": b"PK\5\6" + struct.pack("<4H2LH", 0, 0, 65535, 65535, 2**32 - 1, 0, 0),
    "is a damaged zip": zipped({"Dockerfile": b"FROM scratch\n" * 50}).replace(b"PK\1\2", b"PK\1\3"),
}


@pytest.fixture(scope="module")
def strict(machine: Machine) -> Iterator[str]:
    machine.paas("apps:create", "strict")
    machine.paas("git:set", "strict", "archive-max-size", "1m")
    machine.paas("git:set", "strict", "archive-max-files", "20")
    yield "strict"
    machine.paas("apps:destroy", "--force", "strict")


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives_are_refused(machine: Machine, dev: Client, strict: str, what: str) -> None:
    done = dev.ssh("git:from-archive", strict, "--", input=HOSTILE[what], check=False)
    assert done.status == 1, done.text
    assert "Internal error" not in done.error and "Building" not in done.text
    assert json.loads(machine.paas("git:status", strict, "--format", "json").text)["git-head"] == ""
    assert not list((machine.data_dir / "scratch").glob("source-*"))


def test_an_address_that_answers_too_much(machine: Machine, elsewhere: Elsewhere, boss: Client, strict: str) -> None:
    (elsewhere.directory / "large.tar").write_bytes(b"\0" * 2_000_000)
    done = boss.ssh("git:from-archive", strict, elsewhere.url("large.tar"), check=False)
    assert done.status == 1 and "cannot be fetched" in done.error
    done = boss.ssh("git:from-archive", strict, elsewhere.url("none.tar"), check=False)
    assert done.status == 1 and "404" in done.error
    assert boss.ssh("git:from-archive", "nosuchapp", "--", input=b"x", check=False).status == 20
    assert "Known: tar" in boss.ssh("git:from-archive", "--archive-type", "rar", strict, "--", check=False).error
    assert "over http" in boss.ssh("git:from-archive", strict, "file:///etc/passwd", check=False).error
    assert "no archive" in boss.ssh("git:from-archive", strict, "--", input=b"", check=False).error
    assert "line breaks" in boss.ssh("git:from-archive", strict, "--", "A <b>", input=b"x", check=False).error


@pytest.fixture(scope="module")
def site(machine: Machine) -> Iterator[Callable[[str], str]]:
    """`site(MESSAGE)`: builds the image site:1 anew, which answers it; with a Procfile where it works."""

    def make(message: str) -> str:
        place = machine.disk / "site-image"
        dockerfile = (
            "FROM scratch\nADD root.tar /\nCOPY index.html /www/\nWORKDIR /srv\nCOPY Procfile .\n"
            'ENV PATH=/bin\nCMD ["/bin/sh", "-c", "exec httpd -f -p $PORT -h /nothing"]\n'
        )
        procfile = "web: httpd -f -p $PORT -h /www\nworker: sleep 1000\n"
        files: Files = {
            "Dockerfile": dockerfile,
            "root.tar": busybox_root(),
            "index.html": message,
            "Procfile": procfile,
        }
        write(place, files)
        machine.paas("build", "-t", "site:1", str(place))
        return "site:1"

    yield make
    machine.paas("rmi", "--force", "site:1", check=False)


def test_an_image(machine: Machine, dev: Client, app: AppMaker, site: Callable[[str], str]) -> None:
    name, image = app("imaged"), site("image one")
    done = dev.ssh("git:from-image", name, image, "Ann B", "ann@example.com")
    assert "Application deployed" in done.text
    assert machine.get(name).text == "image one"
    assert report(machine, name)["git-source-image"] == "site:1"
    assert "Nothing has changed" in dev.ssh("git:from-image", name, image).text
    site("image two")
    assert "Application deployed" in dev.ssh("git:from-image", name, image).text
    assert machine.get(name).text == "image two"
    assert "Application deployed" in dev.ssh("git:from-image", "--force", name, image).text
    done = dev.ssh("git:from-image", name, "no-such-image:1", check=False)
    assert done.status == 1 and "no-such-image:1" in done.error
    assert dev.ssh("git:from-image", "nosuchapp", image, check=False).status == 20
    assert dev.ssh("git:from-image", name, "not an image", check=False).status == 1
    assert dev.ssh("git:from-image", "--build-dir", "/", name, image, check=False).status == 2
    place = machine.disk / "onbuild"
    write(place, {"extra.txt": "more"})
    (place / "away").symlink_to("/etc")
    machine.paas("git:from-image", "--build-dir", str(place), name, image)
    copy = dev.repository("imaged-copy")
    copy.git("fetch", "--quiet", dev.url(name), "master:there")
    assert set(copy.git("ls-tree", "-r", "--name-only", "there").text.split()) == {
        "Dockerfile",
        "Procfile",
        "away",
        "extra.txt",
    }
    assert machine.get(name).text == "image two"


def test_an_image_from_the_input(
    machine: Machine, boss: Client, dev: Client, app: AppMaker, site: Callable[[str], str]
) -> None:
    name, image = app("loaded"), site("loaded one")
    saved = machine.paas("save", image).stdout
    assert dev.ssh("git:load-image", name, image, input=saved, check=False).status == 1
    assert "Application deployed" in boss.ssh("git:load-image", name, image, input=saved).text
    assert machine.get(name).text == "loaded one"
    assert "Nothing has changed" in boss.ssh("git:load-image", name, image, input=saved).text
    done = boss.ssh("git:load-image", name, "other:1", input=saved, check=False)
    assert done.status == 1 and "It has: site:1" in done.error
    assert boss.ssh("git:load-image", name, image, input=b"rubbish", check=False).status == 1
    assert machine.get(name).text == "loaded one"
