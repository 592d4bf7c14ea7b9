"""Images that skopeo, podman and docker-archives carry: other programs write what we read, and read what we write."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import pytest
import zstandard

from paas.errors import InvalidInput
from paas.image.archive import write_archives, write_layout
from paas.model import ImageConfig
from paas.registry.archives import ImageFiles
from paas.system.run import run
from tests.harness.registry import Registry
from tests.image.tars import archive, directory, file, symlink
from tests.registry.conftest import Side

BASE = archive(directory("etc"), file("etc/motd", b"hello\n"), symlink("motd", "etc/motd"))
TOP = archive(directory("etc"), file("etc/.wh.motd"), file("etc/new", b"new" * 1000))
PLAIN = ("--src-tls-verify=false", "--dest-tls-verify=false")


def skopeo(*words: str) -> str:
    return run(["skopeo", "--insecure-policy", *words]).text


@pytest.fixture
def layout(here: Side, tmp_path: Path) -> Path:
    """An OCI layout of two layers, tagged `1`; skopeo finds none of them in a registry already."""
    when = int.from_bytes(os.urandom(3))
    base = archive(directory("etc"), file("etc/motd", b"hello\n", mtime=when), symlink("motd", "etc/motd"))
    top = archive(directory("etc"), file("etc/.wh.motd"), file("etc/new", b"new" * 1000, mtime=when))
    image = here.image(base, top, name="layout:1", cmd=("sh",), env={"A": "b"})
    out = tmp_path / "layout"
    write_layout(here.store, image, out, ["1"])
    return out


@pytest.mark.parametrize("kind", ["oci", "v2s2"])
def test_what_skopeo_pushed_is_pulled(layout: Path, there: Side, here: Side, repo: str, kind: str) -> None:
    skopeo("copy", *PLAIN[1:], "--format", kind, f"oci:{layout}:1", f"docker://{repo}:1")
    image = there.pull(f"{repo}:1")
    assert there.files(image) == {"etc/motd": b"hello\n", "etc/new": b"new" * 1000}
    assert (image.config.cmd, dict(image.config.env)) == (("sh",), {"A": "b"})


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_layers_of_every_compression(layout: Path, there: Side, repo: str, tmp_path: Path, compression: str) -> None:
    skopeo("copy", "--dest-decompress", f"oci:{layout}:1", f"dir:{tmp_path}/plain")
    words = ["--format", "oci", "--dest-compress-format", compression]
    skopeo("copy", *PLAIN[1:], *words, f"dir:{tmp_path}/plain", f"docker://{repo}:1")
    raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{repo}:1"))
    assert all(layer["mediaType"].endswith(f"+{compression}") for layer in raw["layers"])
    assert there.files(there.pull(f"{repo}:1")).keys() == {"etc/motd", "etc/new"}


def test_layers_without_compression(here: Side, there: Side, tmp_path: Path, repo: str) -> None:
    image = here.image(BASE, TOP, name="plain:1")
    write_layout(here.store, image, tmp_path / "gz", ["1"])
    skopeo("copy", "--dest-decompress", f"oci:{tmp_path}/gz:1", f"dir:{tmp_path}/plain")
    manifest = json.loads((tmp_path / "plain/manifest.json").read_text())
    assert all(layer["mediaType"].endswith(".tar") for layer in manifest["layers"])
    data = io.BytesIO(_tar_of_layout(tmp_path / "plain", manifest))
    [(loaded, names)] = files_of(there).load(data, lambda: False)
    assert names == ("plain:2",)
    assert there.files(loaded) == here.files(image)


def _tar_of_layout(place: Path, manifest: dict[str, object]) -> bytes:
    """What `skopeo copy ... dir:` wrote, as the tar of an OCI layout."""
    text = json.dumps(manifest).encode()
    digest = hashlib.sha256(text).hexdigest()
    annotations = {"io.containerd.image.name": "docker.io/library/plain:2"}
    index = {"schemaVersion": 2, "manifests": [{"digest": f"sha256:{digest}", "annotations": annotations}]}
    blobs = {path.name: path.read_bytes() for path in place.iterdir() if len(path.name) == 64} | {digest: text}
    entries = [file(f"blobs/sha256/{name}", content) for name, content in blobs.items()]
    return archive(*entries, file("index.json", json.dumps(index).encode()))


def test_skopeo_reads_what_we_push(here: Side, repo: str, tmp_path: Path) -> None:
    here.image(BASE, TOP, name=f"{repo}:1", labels={"x": "y"})
    digest = here.push(f"{repo}:1")
    shown = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{repo}:1"))
    assert (shown["Digest"], shown["Labels"], len(shown["Layers"])) == (digest, {"x": "y"}, 2)
    skopeo("copy", *PLAIN[:1], f"docker://{repo}:1", f"docker-archive:{tmp_path}/out.tar:back:1")
    assert tarfile.is_tarfile(tmp_path / "out.tar")


def test_a_docker_archive_of_skopeo_is_loaded(layout: Path, there: Side, tmp_path: Path) -> None:
    skopeo("copy", f"oci:{layout}:1", f"docker-archive:{tmp_path}/out.tar:team/back:1")
    with (tmp_path / "out.tar").open("rb") as stream:
        [(image, names)] = files_of(there).load(stream, lambda: False)
    assert names == ("team/back:1",)
    assert there.store.tagged("team/back:1") == image
    assert there.files(image).keys() == {"etc/motd", "etc/new"}
    assert there.is_clean()


@pytest.mark.parametrize("squeeze", [bytes, gzip.compress, lambda data: zstandard.ZstdCompressor().compress(data)])
def test_what_we_save_is_loaded(here: Side, there: Side, squeeze: Callable[[bytes], bytes]) -> None:
    one, two = here.image(BASE, TOP, name="one:1"), here.image(BASE, name="two:1")
    out = io.BytesIO()
    write_archives(here.store, [(one, ["one:1", "one:2"]), (two, ["two:1"])], out)
    done = files_of(there).load(io.BytesIO(squeeze(out.getvalue())), lambda: False)
    assert [names for _, names in done] == [("one:1", "one:2"), ("two:1",)]
    assert there.files(done[0][0]) == here.files(one)
    assert there.is_clean()


def test_an_oci_tar_of_podmans_kind_is_loaded(layout: Path, there: Side, tmp_path: Path) -> None:
    skopeo("copy", f"oci:{layout}:1", f"oci-archive:{tmp_path}/out.tar:localhost/back:1")
    with (tmp_path / "out.tar").open("rb") as stream:
        [(_, names)] = files_of(there).load(stream, lambda: False)
    assert names == ("localhost/back:1",)


def config(*layers: bytes, **fields: object) -> bytes:
    ids = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    return json.dumps({"os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}, **fields}).encode()


def docker_archive(layer: bytes, config: bytes, **fields: object) -> bytes:
    entry = {"Config": "config.json", "RepoTags": ["evil:1"], "Layers": ["layer.tar"], **fields}
    return archive(
        file("config.json", config), file("layer.tar", layer), file("manifest.json", json.dumps([entry]).encode())
    )


EVIL: dict[str, bytes] = {
    "no archive": b"nothing",
    "empty": archive(file("x")),
    "no list": archive(file("manifest.json", b"{}")),
    "an empty list": archive(file("manifest.json", b"[]")),
    "no JSON": archive(file("manifest.json", b"\xff" * 100)),
    "another layer": docker_archive(BASE, config(TOP)),
    "layers that lead outside": docker_archive(archive(file("../x")), config(archive(file("../x")))),
    "a path outside": docker_archive(BASE, config(BASE), Layers=["../../../../etc/passwd"]),
    "a config outside": docker_archive(BASE, config(BASE), Config="/etc/passwd"),
    "too few layers": docker_archive(BASE, config(BASE), Layers=[]),
    "another machine's": docker_archive(BASE, config(BASE, architecture="s390x")),
    "windows": docker_archive(BASE, config(BASE, os="windows")),
    "a bad name": docker_archive(BASE, config(BASE), RepoTags=["UPPER:1"]),
    "a name that is none": docker_archive(BASE, config(BASE), RepoTags=[7]),
    "an environment that is none": docker_archive(BASE, config(BASE, config={"Env": "x"})),
    "labels that are none": docker_archive(BASE, config(BASE, config={"Labels": {"a": 1}})),
    "a command with NUL": docker_archive(BASE, config(BASE, config={"Cmd": ["a\0b"]})),
    "a port that is none": docker_archive(BASE, config(BASE, config={"ExposedPorts": {"http": {}}})),
    "too many ports": docker_archive(BASE, config(BASE, config={"ExposedPorts": {"1-65535/tcp": {}}})),
    "a variable without a name": docker_archive(BASE, config(BASE, config={"Env": ["=x"]})),
    "a test of no kind": docker_archive(BASE, config(BASE, config={"Healthcheck": {"Test": ["curl"]}})),
    "a signal that is none": docker_archive(BASE, config(BASE, config={"StopSignal": "; reboot"})),
    "a check that is none": docker_archive(BASE, config(BASE, config={"Healthcheck": {"Interval": "1"}})),
    "an index of nothing": archive(file("index.json", b'{"manifests": [{"digest": "sha256:../../x"}]}')),
    "an index of something else": archive(
        file("index.json", json.dumps({"manifests": [{"digest": "sha256:" + "a" * 64}]}).encode()),
        file("blobs/sha256/" + "a" * 64, b"{}"),
    ),
}


@pytest.mark.parametrize("kind", EVIL)
def test_archives_that_make_no_sense_leave_nothing(there: Side, kind: str) -> None:
    with pytest.raises(InvalidInput):
        files_of(there).load(io.BytesIO(EVIL[kind]), lambda: False)
    assert there.is_clean()
    assert [entry for entry in there.store.list() if entry.reference] == []


def test_a_config_is_brought_into_our_form(there: Side) -> None:
    given = {"ExposedPorts": {"80": {}, "90-91/udp": {}}, "WorkingDir": "srv", "StopSignal": "SIGRTMIN+3"}
    [(image, _)] = files_of(there).load(io.BytesIO(docker_archive(BASE, config(BASE, config=given))), lambda: False)
    assert image.config.exposed_ports == ("80/tcp", "90/udp", "91/udp")
    assert (image.config.workdir, image.config.stop_signal) == ("/srv", "SIGRTMIN+3")


def test_history_that_does_not_fit_is_left_out(there: Side) -> None:
    data = docker_archive(BASE, config(BASE, history=[{"created_by": "a"}, {"created_by": "b"}]))
    [(image, _)] = files_of(there).load(io.BytesIO(data), lambda: False)
    assert image.history == ()


def test_a_root_file_system_in_any_compression(there: Side) -> None:
    for tar in (BASE, gzip.compress(BASE), zstandard.ZstdCompressor().compress(BASE)):
        image = files_of(there).take_root(io.BytesIO(tar), ImageConfig(), "root:1", "a comment", lambda: False)
        assert there.files(image) == {"etc/motd": b"hello\n"}
        assert image.history[0].comment == "a comment"


def test_an_endless_archive_is_stopped(there: Side) -> None:
    class Zeros(io.RawIOBase):
        """A tar of one file that never ends."""

        def __init__(self) -> None:
            self._head = archive(file("zeros", b""))[:512]

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: object) -> int:
            view = memoryview(cast(bytearray, buffer))
            data = self._head[: len(view)] or bytes(len(view))
            self._head = self._head[len(data) :]
            view[: len(data)] = data
            return len(data)

    files = ImageFiles(there.store, there.paths.scratch, 1 << 20)
    with pytest.raises(InvalidInput):
        files.load(cast(IO[bytes], Zeros()), lambda: False)
    assert there.is_clean()


def test_an_image_keeps_its_digest_on_its_way(here: Side, there: Side, repo: str, registry: Registry) -> None:
    here.image(BASE, name=f"{repo}:1")
    first = here.push(f"{repo}:1")
    image = there.pull(f"{repo}:1")
    name = f"{registry.host}/copied/{os.urandom(4).hex()}:1"
    there.store.tag(name, image.id)
    assert there.push(name) == first


def files_of(side: Side) -> ImageFiles:
    return ImageFiles(side.store, side.paths.scratch, 1 << 30)
