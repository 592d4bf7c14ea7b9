"""Images for other tools, which are asked what they make of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import socket
import stat
import struct
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import pytest

from paas.errors import SystemFailure
from paas.image.archive import config_json, write_archive, write_layout
from paas.image.store import ImageStore
from paas.image.tarring import write_tar
from paas.image.unpack import unpack
from paas.model import Healthcheck, HistoryEntry, Image, ImageConfig, Layer
from paas.paths import Paths
from paas.runtime.rootfs import mounted_plain
from paas.state.database import Database
from tests.harness.apps import busybox_root
from tests.harness.peers import Peers

CREATED = "2026-01-02T03:04:05Z"
CAPABILITY = struct.pack("<IIIII", 0x02000000 | 1, 1 << 10, 0, 0, 0)
"""cap_net_bind_service, effective: linux/capability.h, vfs_cap_data revision 2."""


@pytest.fixture(scope="module")
def peers() -> Iterator[Peers]:
    with Peers() as made:
        yield made


def layer_of(store: ImageStore, change: Callable[[Path], object], below: tuple[Layer, ...] = ()) -> Layer:
    """A layer of what `change` does to the root file system below, on a real overlay mount."""
    with store.draft() as draft:
        layers = draft.directory.parent
        scratch = layers.parent / "scratch"
        with mounted_plain(scratch, layers, [layer.number for layer in below], draft.directory) as root:
            change(root)
        return store.commit(draft, "sha256:" + os.urandom(32).hex())


def tar_of(layer: Path) -> bytes:
    out = io.BytesIO()
    write_tar(layer, out.write)
    return out.getvalue()


def entries(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        return {entry.name: entry for entry in archive.getmembers()}


def busybox(root: Path) -> None:
    opened = os.open(root, os.O_RDONLY)
    try:
        unpack(io.BytesIO(busybox_root()), opened)
    finally:
        os.close(opened)


def image_of(store: ImageStore, *layers: Layer, **config: Any) -> Image:
    history = [HistoryEntry(CREATED, f"RUN {layer.number}") for layer in layers]
    history.insert(1, HistoryEntry(CREATED, "CMD", empty_layer=True))
    return store.add_image(ImageConfig(**config), layers, history, CREATED)


# A layer's tar


def test_all_kinds_of_files(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "d" * 120 + "/" + "n" * 200
    strange = os.fsdecode(b"caf\xe9")

    def change(root: Path) -> None:
        (root / "dir").mkdir(mode=0o700)
        (root / "dir").chmod(0o2750)
        (root / "dir/file").write_bytes(b"content")
        os.chown(root / "dir/file", 33, 100_000_000)
        (root / "dir/file").chmod(0o4755)
        os.setxattr(root / "dir/file", "security.capability", CAPABILITY)
        os.setxattr(root / "dir/file", "user.note", b"\xff\0x")
        os.setxattr(root / "dir", "trusted.paas.note", b"ours")
        os.link(root / "dir/file", root / "dir/again")
        (root / "link").symlink_to("/nowhere/" + "x" * 200)
        os.mkfifo(root / "fifo", 0o640)
        os.mknod(root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(root / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 300))
        (root / long).parent.mkdir()
        (root / long).write_text("long")
        (root / strange).write_text("strange")
        (root / ".wh.own").write_text("no place for it")
        (root / "empty").touch()
        with socket.socket(socket.AF_UNIX) as listening:
            monkeypatch.chdir(root)  # its path may be longer than an address can be
            listening.bind("socket")

    found = entries(tar_of(store.layer_directory(layer_of(store, change).number)))
    assert list(found) == sorted(
        ["dir", "dir/again", "dir/file", "link", "fifo", "null", "disk", "d" * 120, long, strange, "empty"],
        key=os.fsencode,
    )
    first, second = found["dir/again"], found["dir/file"]
    assert (first.uid, first.gid, first.mode, first.size) == (33, 100_000_000, 0o4755, 7)
    assert (second.type, second.linkname) == (tarfile.LNKTYPE, "dir/again")
    assert os.fsencode(first.pax_headers["SCHILY.xattr.user.note"]) == b"\xff\0x"
    assert os.fsencode(first.pax_headers["SCHILY.xattr.security.capability"]) == CAPABILITY
    assert (found["dir"].mode, found["dir"].pax_headers) == (0o2750, {})
    assert found["link"].linkname == "/nowhere/" + "x" * 200
    assert (found["fifo"].type, found["fifo"].mode) == (tarfile.FIFOTYPE, 0o640)
    assert (found["null"].devmajor, found["null"].devminor) == (1, 3)
    assert (found["disk"].type, found["disk"].devminor) == (tarfile.BLKTYPE, 300)
    assert {entry.uname + entry.gname for entry in found.values()} == {""}


def test_what_a_layer_hides(store: ImageStore) -> None:
    def below(root: Path) -> None:
        for name in ("gone", "replaced/old", "kept/old", "kept/left", "tree/deep/file"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("below")

    def above(root: Path) -> None:
        (root / "gone").unlink()
        (root / "replaced/old").unlink()
        (root / "replaced").rmdir()
        (root / "replaced").mkdir()
        (root / "replaced/new").touch()
        (root / "kept/old").unlink()
        (root / "kept/a").touch()
        (root / "tree/deep/file").unlink()
        (root / "tree/deep").rmdir()

    first = layer_of(store, below)
    second = layer_of(store, above, (first,))
    found = entries(tar_of(store.layer_directory(second.number)))
    assert list(found) == [
        ".wh.gone",
        "kept",
        "kept/.wh.old",
        "kept/a",
        "replaced",
        "replaced/.wh..wh..opq",
        "replaced/new",
        "tree",
        "tree/.wh.deep",
    ]
    assert all(entry.pax_headers == {} for entry in found.values())
    assert found[".wh.gone"].isreg() and found[".wh.gone"].size == 0


def test_the_root_itself_is_there_when_it_is_not_the_usual_one(store: ImageStore) -> None:
    layer = layer_of(store, lambda root: root.chmod(0o750))
    assert entries(tar_of(store.layer_directory(layer.number)))["."].mode == 0o750


def test_unpacked_again_it_is_the_same(store: ImageStore, root: Path, root_fd: int) -> None:
    def change(top: Path) -> None:
        (top / "a").mkdir()
        (top / "a/b").write_text("b")
        os.utime(top / "a/b", ns=(5, 1_600_000_000_000_000_000))
        os.link(top / "a/b", top / "c")
        os.setxattr(top / "a/b", "user.x", b"1")
        os.setxattr(top / "a", "trusted.overlay.opaque", b"y")
        os.mknod(top / "gone", stat.S_IFCHR)

    data = tar_of(store.layer_directory(layer_of(store, change).number))
    unpack(io.BytesIO(data), root_fd, whiteouts=True)
    assert tar_of(root) == data
    assert (root / "c").samefile(root / "a/b")


def test_the_same_content_is_the_same_tar_whatever_the_order_and_access(store: ImageStore) -> None:
    def change(names: str) -> Callable[[Path], None]:
        def make(root: Path) -> None:
            for name in names:
                (root / name).write_text(name)
                os.utime(root / name, (len(names), 7))

        return make

    one, other = layer_of(store, change("abcdef")), layer_of(store, change("fedcba"))
    (store.layer_directory(other.number) / "a").read_text()
    assert tar_of(store.layer_directory(one.number)) == tar_of(store.layer_directory(other.number))


def test_memory_stays_flat(store: ImageStore) -> None:
    def change(root: Path) -> None:
        with (root / "large").open("wb") as file:
            file.truncate(200 << 20)
        for number in range(3000):
            (root / f"file{number}").touch()

    directory = store.layer_directory(layer_of(store, change).number)
    tracemalloc.start()
    try:
        write_tar(directory, len)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_tree_deeper_than_a_path_can_say(root: Path, root_fd: int) -> None:
    here = os.dup(root_fd)
    for _ in range(50):
        os.mkdir("n" * 200, dir_fd=here)
        inner = os.open("n" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert max(map(len, entries(tar_of(root)))) == 50 * 201 - 1


def test_a_layer_that_is_gone_is_a_clean_error(store: ImageStore) -> None:
    with pytest.raises(SystemFailure, match="layer 99 cannot be read"):
        write_tar(store.layer_directory(99), len)


# The image around it


def test_layout(store: ImageStore, db: Database, tmp_path: Path) -> None:
    layer = layer_of(store, lambda root: (root / "a").write_text("a"))
    image = image_of(store, layer, layer, cmd=("x",), author="Ann", healthcheck=Healthcheck(("NONE",)))
    out = tmp_path / "out"
    digest = write_layout(store, image, out, ["localhost/a:1", "localhost/a:2"])

    def blob(name: str) -> bytes:
        data = (out / "blobs" / name.replace(":", "/")).read_bytes()
        assert name == "sha256:" + hashlib.sha256(data).hexdigest()
        return data

    assert json.loads((out / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((out / "index.json").read_text())
    assert [entry["digest"] for entry in index["manifests"]] == [digest, digest]
    manifest = json.loads(blob(digest))
    config = json.loads(blob(manifest["config"]["digest"]))
    assert [config[key] for key in ("author", "os", "created")] == ["Ann", "linux", CREATED]
    assert config["config"] == {"Cmd": ["x"], "Healthcheck": {"Test": ["NONE"]}}
    assert [entry.get("empty_layer", False) for entry in config["history"]] == [False, True, False]
    packed = [blob(entry["digest"]) for entry in manifest["layers"]]
    assert [len(data) for data in packed] == [entry["size"] for entry in manifest["layers"]]
    plain = ["sha256:" + hashlib.sha256(gzip.decompress(data)).hexdigest() for data in packed]
    assert config["rootfs"] == {"type": "layers", "diff_ids": plain}
    assert packed[0][4:8] == bytes(4)  # no time
    row = db.one("SELECT diff_id FROM layers WHERE number = ?", (layer.number,))
    assert row is not None and row["diff_id"] == plain[0]
    assert {path.name for path in out.iterdir()} == {"blobs", "index.json", "oci-layout"}


def test_a_history_that_does_not_fit_is_left_out(store: ImageStore) -> None:
    layer = layer_of(store, lambda root: (root / "a").touch())
    image = store.add_image(ImageConfig(), [layer], [HistoryEntry(CREATED, "CMD", empty_layer=True)], CREATED)
    assert "history" not in config_json(image, ["sha256:" + "0" * 64])


def test_a_digest_from_elsewhere_is_kept(store: ImageStore, db: Database) -> None:
    with store.draft() as draft:
        layer = store.commit(draft, "sha256:" + "1" * 64, diff_id="sha256:" + "2" * 64)
    store.note_diff_id(layer, "sha256:" + "3" * 64)
    row = db.one("SELECT diff_id FROM layers WHERE number = ?", (layer.number,))
    assert row is not None and row["diff_id"] == "sha256:" + "2" * 64


def test_an_archive_is_the_same_every_time_and_names_no_blob_twice(store: ImageStore) -> None:
    layer = layer_of(store, lambda root: (root / "a").write_text("a"))
    image = image_of(store, layer, layer)
    one, other = io.BytesIO(), io.BytesIO()
    write_archive(store, image, one, ["a:1"])
    write_archive(store, image, other, ["a:1"])
    assert one.getvalue() == other.getvalue()
    with tarfile.open(fileobj=io.BytesIO(one.getvalue())) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names)) == 6


def test_a_reader_that_goes_away(store: ImageStore) -> None:
    image = image_of(store, layer_of(store, busybox))
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as stream, pytest.raises(BrokenPipeError):
        write_archive(store, image, cast(IO[bytes], stream))


# What others make of it


def whole(store: ImageStore) -> Image:
    """An image with everything that layers and configs can have."""

    def change(root: Path) -> None:
        (root / "www").rmdir()
        (root / "www").mkdir()
        (root / "www/page").write_text("page\n")
        (root / os.fsdecode(b"caf\xe9")).write_text("strange")
        os.link(root / "www/page", root / "www/same")
        (root / "etc/group").unlink()
        (root / "bin/su").write_bytes(b"x")
        (root / "bin/su").chmod(0o4755)
        os.setxattr(root / "bin/su", "security.capability", CAPABILITY)
        os.setxattr(root / "bin/su", "user.note", b"\xff\0x")

    base = layer_of(store, busybox)
    return image_of(  # noqa: S604  SHELL of a Dockerfile
        store,
        base,
        layer_of(store, change, (base,)),
        cmd=("/bin/sh", "-c", "cat /www/same; [ -e /etc/group ] || echo gone; echo $WHO; id -u"),
        env={"PATH": "/bin", "WHO": "me"},
        user="nobody",
        workdir="/www",
        exposed_ports=("80/tcp",),
        labels={"a": "ä"},
        volumes=("/data",),
        stop_signal="SIGQUIT",
        shell=("/bin/sh", "-e", "-c"),
        onbuild=("RUN true",),
        healthcheck=Healthcheck(("CMD", "true"), 1.5, 2.0, 3.0, 4),
    )


def test_skopeo_takes_the_layout_as_it_is(store: ImageStore, tmp_path: Path, peers: Peers) -> None:
    out, copied = tmp_path / "out", tmp_path / "copied"
    digest = write_layout(store, whole(store), out, ["localhost/whole:1"])
    peers.run("skopeo", "copy", f"oci:{out}:localhost/whole:1", f"oci:{copied}:x")
    blobs = {path.name for path in (out / "blobs/sha256").iterdir()}
    assert {path.name for path in (copied / "blobs/sha256").iterdir()} == blobs
    assert json.loads((copied / "index.json").read_text())["manifests"][0]["digest"] == digest
    unpacked = json.loads(peers.run("skopeo", "inspect", "--config", f"oci:{copied}:x").text)
    assert unpacked["history"][1]["empty_layer"] is True


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_skopeo_takes_the_archive_as_either_kind(kind: str, store: ImageStore, tmp_path: Path, peers: Peers) -> None:
    with (tmp_path / "image.tar").open("wb") as file:
        write_archive(store, whole(store), file, ["localhost/whole:1"])
    peers.run("skopeo", "copy", f"{kind}:{tmp_path}/image.tar:localhost/whole:1", f"dir:{tmp_path}/dir")
    assert json.loads((tmp_path / "dir/manifest.json").read_text())["schemaVersion"] == 2


def test_podman_loads_and_runs_it(store: ImageStore, paths: Paths, tmp_path: Path, peers: Peers) -> None:
    image = whole(store)
    with (tmp_path / "image.tar").open("wb") as file:
        write_archive(store, image, file, ["localhost/whole:1"])
    assert "localhost/whole:1" in peers.run("podman", "load", "-i", str(tmp_path / "image.tar")).text
    name = f"containers-storage:[overlay@{peers.store}+{peers.top}/run]localhost/whole:1"
    kept = json.loads(peers.run("skopeo", "inspect", "--config", "--raw", name).text)
    assert kept == config_json(image, kept["rootfs"]["diff_ids"])

    said = peers.run("podman", "run", "--rm", "--network=none", "localhost/whole:1").text
    assert said.split() == ["page", "gone", "me", "65534"]

    tar = 'tar -cf - --xattrs --xattrs-include="*" --sort=name bin/su www caf*'
    script = f'cd "$(podman image mount localhost/whole:1)" && {tar}'
    data = peers.run("sh", "-c", script).stdout
    seen = entries(data)
    assert list(seen) == ["bin/su", "www", "www/page", "www/same", os.fsdecode(b"caf\xe9")]
    assert seen["www/same"].islnk() and seen["bin/su"].mode == 0o4755
    assert os.fsencode(seen["bin/su"].pax_headers["SCHILY.xattr.security.capability"]) == CAPABILITY
    assert os.fsencode(seen["bin/su"].pax_headers["SCHILY.xattr.user.note"]) == b"\xff\0x"
