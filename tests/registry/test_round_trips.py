"""Images to a registry and back, with every file as it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from paas.errors import Cancelled, Denied, InvalidInput, NotFound
from paas.model import Image
from paas.registry.bases import RegistryImages
from paas.registry.credentials import Login
from tests.harness.apps import busybox_root
from tests.harness.registry import PASSWORD, USER, Registry
from tests.image.tars import archive, directory, file, special, symlink
from tests.registry.conftest import Side

BASE = archive(directory("etc"), file("etc/motd", b"hello\n"), symlink("motd", "etc/motd"))
TOP = archive(directory("etc"), file("etc/.wh.motd"), file("etc/new", b"\0\xff" * 4000, mode=0o4755))
BIG = archive(file("big", os.urandom(20 << 20)))


def test_an_image_comes_back_with_its_files_and_config(here: Side, there: Side, repo: str) -> None:
    image = here.image(BASE, TOP, name=f"{repo}:1", env={"A": "b"}, cmd=("sh",), labels={"x": "y"})
    digest = here.push(f"{repo}:1")

    pulled = there.pull(f"{repo}:1")

    assert pulled.config == image.config
    assert [entry.created_by for entry in pulled.history] == ["layer 0", "layer 1"]
    assert there.files(pulled) == here.files(image)
    assert (there.store.layer_directory(pulled.layers[1].number) / "etc/new").stat().st_mode & 0o7777 == 0o4755
    assert there.store.origins.get(f"{repo}:1") == (pulled.id, digest)
    assert there.is_clean()


def test_after_a_prune_it_is_pulled_again_and_is_the_same(here: Side, repo: str) -> None:
    image = here.image(BASE, busybox_root(), name=f"{repo}:1", cmd=("sh",))
    files = here.files(image)
    here.push(f"{repo}:1")
    here.store.untag(f"{repo}:1")
    assert here.store.prune().layers == 2

    assert here.files(here.pull(f"{repo}:1")) == files


def test_what_is_here_is_not_downloaded(here: Side, there: Side, repo: str) -> None:
    here.image(BASE, name=f"{repo}:base")
    here.image(BASE, TOP, name=f"{repo}:top")
    here.push(f"{repo}:base")
    here.push(f"{repo}:top")
    there.pull(f"{repo}:base")

    there.out.lines.clear()
    there.pull(f"{repo}:top")

    assert there.out.text.count("Already exists") == 1
    assert there.out.text.count("Pull complete") == 1


def test_layers_are_pushed_once_and_mounted_between_repositories(here: Side, repo: str) -> None:
    here.image(BASE, TOP, name=f"{repo}:1")
    here.push(f"{repo}:1")
    image = here.store.tagged(f"{repo}:1")
    assert image is not None
    here.out.lines.clear()
    here.push(f"{repo}:1")
    assert here.out.text.count("Layer already exists") == 2

    here.store.tag(f"{repo}-other:1", image.id)
    here.out.lines.clear()
    here.push(f"{repo}-other:1")
    assert here.out.text.count("Mounted from test/") == 2


def test_large_layers_go_in_chunks(here: Side, there: Side, repo: str) -> None:
    image = here.image(BIG, name=f"{repo}:1")
    here.push(f"{repo}:1")
    assert there.files(there.pull(f"{repo}:1")) == here.files(image)


def test_by_digest_and_up_to_date(here: Side, there: Side, repo: str) -> None:
    here.image(BASE, name=f"{repo}:1")
    digest = here.push(f"{repo}:1")
    first = there.registries.pull(f"{repo}@{digest}", there.out.line, lambda: False)
    again = there.registries.pull(f"{repo}@{digest}", there.out.line, lambda: False)
    assert (first.fresh, again.fresh) == (True, False)
    assert first.image == again.image == there.store.tagged(f"{repo}@{digest}")


def test_a_tag_that_moved_is_newer(here: Side, there: Side, repo: str) -> None:
    here.image(BASE, name=f"{repo}:1")
    here.push(f"{repo}:1")
    there.pull(f"{repo}:1")
    assert not there.registries.is_newer(f"{repo}:1", lambda: False)
    here.image(TOP, name=f"{repo}:1")
    here.push(f"{repo}:1")
    assert there.registries.is_newer(f"{repo}:1", lambda: False)
    assert there.files(there.pull(f"{repo}:1")).keys() == {"etc/new"}


def test_unknown_names_are_said_to_be_so(here: Side, repo: str) -> None:
    with pytest.raises(NotFound, match="has no '1'"):
        here.pull(f"{repo}:1")
    with pytest.raises(NotFound, match="There is no image"):
        here.push(f"{repo}:1")


def test_devices_are_left_out_and_fifos_kept(here: Side, there: Side, repo: str) -> None:
    here.image(archive(special("null", b"3"), special("pipe", b"6"), file("a", b"a")), name=f"{repo}:1")
    here.push(f"{repo}:1")
    image = there.pull(f"{repo}:1")
    assert {path.name for path in there.store.layer_directory(image.layers[0].number).iterdir()} == {"pipe", "a"}


def test_a_login_over_tls(
    new_side: Callable[..., Side], secure_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, name = new_side(), f"{secure_registry.host}/app:1"
    side.image(BASE, name=name)
    with pytest.raises(Exception, match="certificate that is not trusted"):
        side.push(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(secure_registry.ca))
    with pytest.raises(Denied, match="wants a login") as error:
        side.push(name)
    assert error.value.hint == f"paas login {secure_registry.host}"
    with pytest.raises(Denied, match="refuses the login"):
        side.registries.log_in(secure_registry.host, Login(USER, "wrong"), lambda: False)

    side.registries.log_in(secure_registry.host, Login(USER, PASSWORD), lambda: False)
    side.push(name)
    other = new_side()
    other.registries.credentials.set(secure_registry.host, Login(USER, PASSWORD))
    assert other.files(other.pull(name)) == {"etc/motd": b"hello\n"}

    file = side.paths.registry_logins
    assert file.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in side.out.text
    assert side.registries.log_out(secure_registry.host)
    with pytest.raises(Denied):
        side.pull(name)


def test_a_cancelled_pull_leaves_nothing(here: Side, there: Side, repo: str) -> None:
    here.image(BIG, name=f"{repo}:1")
    here.push(f"{repo}:1")
    with pytest.raises(Cancelled):
        there.registries.pull(f"{repo}:1", there.out.line, lambda: "Pulling fs layer" in there.out.text)
    assert there.is_clean()
    assert there.store.list() == []


def test_an_image_beyond_the_limit_is_refused(here: Side, new_side: Callable[..., Side], repo: str) -> None:
    here.image(archive(file("zeros", bytes(8 << 20))), name=f"{repo}:1")
    here.push(f"{repo}:1")
    small = new_side(image_limit=1 << 20)
    with pytest.raises(InvalidInput, match="larger than"):
        small.pull(f"{repo}:1")
    assert small.is_clean()
    assert small.store.list() == []


def test_a_base_image_by_digest_is_pulled_once(here: Side, there: Side, repo: str) -> None:
    here.image(BASE, name=f"{repo}:1")
    name = f"{repo}@{here.push(f'{repo}:1')}"
    bases = RegistryImages(there.store, there.registries)
    for _ in range(2):
        with there.store.lease() as lease:
            image = bases.find(
                name, lease=lease, say=there.out.line, cancelled=lambda: False, refresh=True, trusted=True
            )
    assert there.files(image) == {"etc/motd": b"hello\n"}
    assert there.out.text.count("Pulling from") == 1


def test_two_builds_that_miss_an_image_pull_it_once(here: Side, there: Side, repo: str) -> None:
    here.image(BASE, TOP, name=f"{repo}:1")
    here.push(f"{repo}:1")
    bases = RegistryImages(there.store, there.registries)

    def find(_: int) -> Image:
        with there.store.lease() as lease:
            return bases.find(
                f"{repo}:1", lease=lease, say=there.out.line, cancelled=lambda: False, refresh=False, trusted=True
            )

    with ThreadPoolExecutor(4) as pool:
        found = {image.id for image in pool.map(find, range(4))}
    assert len(found) == 1
    assert there.out.text.count("Pulling from") == 1
