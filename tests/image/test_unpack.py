from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import pytest
import zstandard

from paas.errors import InvalidInput
from paas.image.decompress import compression, decompressed, looks_like_tar, peek
from paas.image.tarreader import TarReader
from paas.image.unpack import Limits, unpack

from .tars import archive, directory, file, hard_link, special, symlink

OPAQUE = "trusted.overlay.opaque"
NO_LIMITS = Limits()
Entry = tuple[tarfile.TarInfo, bytes]


class Unpacker:
    def __init__(self, root: int) -> None:
        self.root = root

    def __call__(self, *entries: Entry, whiteouts: bool = False, into: str = "/", limits: Limits = NO_LIMITS) -> None:
        unpack(io.BytesIO(archive(*entries)), self.root, into, whiteouts=whiteouts, limits=limits)


@pytest.fixture
def put(root_fd: int) -> Unpacker:
    return Unpacker(root_fd)


def is_whiteout(path: Path) -> bool:
    info = path.lstat()
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def test_owner_mode_time_and_links_are_kept(put: Unpacker, root: Path) -> None:
    put(
        directory("bin", 0o755, mtime=1000),
        file("bin/su", b"#!", mode=0o4755, uid=0, gid=5, mtime=1_700_000_000.25),
        hard_link("bin/su2", "bin/su"),
        symlink("sh", "/bin/su", uid=33, gid=33),
        special("pipe", tarfile.FIFOTYPE, mode=0o620),
    )
    su = (root / "bin/su").stat()
    assert (stat.S_IMODE(su.st_mode), su.st_gid, su.st_mtime, su.st_nlink) == (0o4755, 5, 1_700_000_000.25, 2)
    assert (root / "bin").stat().st_mtime == 1000
    assert str((root / "sh").readlink()) == "/bin/su"
    assert (root / "sh").lstat().st_uid == 33
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)


def test_capabilities_and_user_attributes_are_kept_overlayfs_own_are_not(put: Unpacker, root: Path) -> None:
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    headers = {
        "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"),
        "SCHILY.xattr.user.note": "kept",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
    }
    put(file("server", pax_headers=headers))
    assert sorted(os.listxattr(root / "server")) == ["security.capability", "user.note"]
    assert os.getxattr(root / "server", "security.capability") == capability


def test_devices_are_left_out(put: Unpacker, root: Path) -> None:
    put(special("null", tarfile.CHRTYPE, devmajor=1, devminor=3), special("disk", tarfile.BLKTYPE), file("a"))
    assert [path.name for path in root.iterdir()] == ["a"]


def test_the_last_of_a_name_wins(put: Unpacker, root: Path) -> None:
    put(
        directory("x"), file("x/inner"), file("x", b"file"), file("y"), directory("y"), file("z", b"1"), file("z", b"2")
    )
    assert (root / "x").read_text() == "file"
    assert (root / "y").is_dir()
    assert (root / "z").read_text() == "2"


def test_a_file_replaces_a_symlink_and_is_not_written_through_it(put: Unpacker, root: Path) -> None:
    put(file("target", b"old"), symlink("name", "target"), file("name", b"new"))
    assert (root / "target").read_text() == "old"
    assert (root / "name").read_text() == "new"


def test_names_that_are_not_utf8(put: Unpacker, root: Path) -> None:
    put(file(os.fsdecode(b"caf\xe9"), b"x"))
    assert [os.fsencode(path.name) for path in root.iterdir()] == [b"caf\xe9"]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([file("../outside", b"bad")], id="dot-dot"),
        pytest.param([file("a/../../outside", b"bad")], id="dot-dot-inside"),
        pytest.param([file("a" * 256)], id="long-name"),
        pytest.param([file("a/" * 300 + "b")], id="deep"),
        pytest.param([file("x", pax_headers={"path": "a\0b"})], id="nul"),
        pytest.param([special("x", tarfile.SYMTYPE, pax_headers={"linkpath": "a\0b"})], id="nul-in-link"),
        pytest.param([symlink("x", "")], id="empty-link"),
        pytest.param([hard_link("x", "../outside")], id="link-outside"),
        pytest.param([hard_link("x", "missing")], id="link-to-nothing"),
        pytest.param([directory("d"), hard_link("x", "d")], id="link-to-directory"),
        pytest.param([file("f"), file("f/x")], id="file-as-directory"),
        pytest.param([symlink("a", "nowhere"), file("a/x")], id="dangling-parent"),
        pytest.param([symlink("a", "a"), file("a/x")], id="loop"),
        pytest.param([file("x", pax_headers={"mtime": "inf"})], id="time-inf"),
        pytest.param([file("x", pax_headers={"mtime": "nan"})], id="time-nan"),
        pytest.param([file("x", pax_headers={"mtime": "1e30"})], id="time-far"),
        pytest.param([file("x", pax_headers={"uid": "4294967295"})], id="owner"),
        pytest.param([file("x", pax_headers={"size": "-512"})], id="size"),
        pytest.param([special("x", b"Z")], id="type"),
        pytest.param([file("x", pax_headers={"SCHILY.xattr.security.capability": "no"})], id="capability"),
        pytest.param([file("x", pax_headers={"comment": "x" * (5 << 20)})], id="headers"),
    ],
)
def test_refused(put: Unpacker, root: Path, entries: list[Entry]) -> None:
    with pytest.raises(InvalidInput):
        put(*entries)
    assert (root.parent / "outside").read_text() == "untouched"
    assert sorted(path.name for path in root.parent.iterdir()) == ["outside", "root"]


@pytest.mark.parametrize("link", ["/", "..", "../..", "/../../.."])
def test_a_symlink_as_parent_leads_nowhere_but_into_the_root(put: Unpacker, root: Path, link: str) -> None:
    put(symlink("up", link), file("up/outside", b"inside"), file("/absolute", b"inside"))
    assert (root / "outside").read_text() == "inside"
    assert (root / "absolute").read_text() == "inside"
    assert (root.parent / "outside").read_text() == "untouched"


def test_a_hard_link_through_a_symlink_stays_inside(put: Unpacker, root: Path) -> None:
    with pytest.raises(InvalidInput):
        put(symlink("up", ".."), hard_link("stolen", "up/outside"))
    assert (root.parent / "outside").stat().st_nlink == 1


def test_a_symlink_at_the_end_of_a_hard_link_is_not_followed(put: Unpacker, root: Path) -> None:
    put(symlink("l", str(root.parent / "outside")), hard_link("x", "l"))
    assert (root / "x").is_symlink()


def test_limits(put: Unpacker) -> None:
    with pytest.raises(InvalidInput, match="larger than 10 bytes"):
        put(file("a", b"123456"), file("b", b"123456"), limits=Limits(size=10))
    with pytest.raises(InvalidInput, match="more than 2 entries"):
        put(file("a"), file("b"), file("c"), limits=Limits(entries=2))


def test_a_size_nobody_can_seek_over_is_refused_at_once(root_fd: int) -> None:
    info = tarfile.TarInfo(".wh.x")
    info.size = 1 << 62
    block = info.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(InvalidInput, match="larger than"):
        unpack(io.BytesIO(block + bytes(1024)), root_fd, whiteouts=True)


def test_into_a_folder_of_the_root(put: Unpacker, root: Path) -> None:
    (root / "srv").symlink_to("/var/srv")
    (root / "var/srv").mkdir(parents=True)
    put(file("a", b"x"), hard_link("b", "a"), into="/srv/new")
    assert (root / "var/srv/new/b").read_text() == "x"


def test_whiteouts(put: Unpacker, root: Path) -> None:
    put(file("d/.wh.gone"), directory("e"), file("e/.wh..wh..opq"), file("e/new"), whiteouts=True)
    assert is_whiteout(root / "d/gone")
    assert os.getxattr(root / "e", OPAQUE) == b"y"
    assert (root / "e/new").exists()
    assert [path.name for path in (root / "e").iterdir()] == ["new"]


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "a/.wh..."])
def test_a_whiteout_that_names_no_file_is_refused(put: Unpacker, root: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="whiteout"):
        put(file(name), whiteouts=True)


def test_a_whiteout_hides_only_what_is_below_its_layer(put: Unpacker, root: Path) -> None:
    put(directory("a"), file("a/own"), file(".wh.a"), file(".wh.b"), directory("b"), file("b/own"), whiteouts=True)
    put(file("c", b"own"), file(".wh.c"), file(".wh.d"), file("d", b"own"), whiteouts=True)
    for name in "ab":
        assert (root / name / "own").exists()
        assert os.getxattr(root / name, OPAQUE) == b"y"
    for name in "cd":
        assert (root / name).read_text() == "own"


def test_the_books_of_aufs_are_skipped(put: Unpacker, root: Path) -> None:
    put(file(".wh..wh.plnk"), file(".wh..wh.aufs"), whiteouts=True)
    assert [path.name for path in root.iterdir()] == []


def test_without_whiteouts_their_names_are_names(put: Unpacker, root: Path) -> None:
    put(file(".wh.x", b"plain"))
    assert (root / ".wh.x").read_text() == "plain"


@pytest.mark.parametrize(
    ("compress", "kind"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz"), (bytes, None)]
)
def test_compressions(root_fd: int, root: Path, compress: Callable[[bytes], bytes], kind: str | None) -> None:
    data = compress(archive(file("a", b"content")))
    assert compression(data[:6]) == kind
    head, stream = peek(decompressed(io.BytesIO(data), kind))
    assert looks_like_tar(head)
    unpack(stream, root_fd)
    assert (root / "a").read_text() == "content"


@pytest.mark.parametrize(
    ("compress", "kind"), [(gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")]
)
def test_damage_is_found(root_fd: int, compress: Callable[[bytes], bytes], kind: str) -> None:
    whole = compress(archive(file("a", os.urandom(100_000))))
    middle = len(whole) // 2
    turned = bytearray(whole)
    turned[middle : middle + 50] = bytes(byte ^ 0xFF for byte in turned[middle : middle + 50])
    for data in (bytes(turned), whole[:middle]):
        with pytest.raises(InvalidInput, match=r"damaged|middle"):
            unpack(decompressed(io.BytesIO(data), kind), root_fd)


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0"])
def test_peek_says_when_compressed_data_is_none(magic: bytes) -> None:
    kind = compression(magic + bytes(6))
    with pytest.raises(OSError):
        peek(decompressed(io.BytesIO(magic + b"\xff" * 300), kind))


def test_zstd(root_fd: int, root: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = 100_000
        tar.addfile(entry, io.BytesIO(bytes(100_000)))
    packed = zstandard.ZstdCompressor().compress(stream.getvalue())
    kind = compression(packed[:6])
    unpack(decompressed(io.BytesIO(packed), kind), root_fd)
    assert (root / "file").stat().st_size == 100_000
    for damaged in (packed[: len(packed) // 2], packed[:8] + b"x" * 50):
        with pytest.raises(InvalidInput, match=r"damaged|middle"):
            unpack(decompressed(io.BytesIO(damaged), kind), root_fd)


def test_what_is_no_tar(root_fd: int) -> None:
    assert not looks_like_tar(b"#!/bin/sh\n" * 100)
    with pytest.raises(InvalidInput, match="damaged"):
        unpack(io.BytesIO(b"hello" * 1000), root_fd)


def test_a_pipe_that_gives_little_at_a_time(root_fd: int, root: Path) -> None:
    class Trickle:
        def __init__(self, data: bytes) -> None:
            self._inner = io.BytesIO(data)

        def read(self, size: int) -> bytes:
            return self._inner.read(min(size, 700))

    unpack(cast(IO[bytes], Trickle(archive(file("a", b"x" * 5000)))), root_fd)
    assert (root / "a").stat().st_size == 5000


def test_what_takes_the_place_of_a_directory_is_where_the_next_entries_go(put: Unpacker, root: Path) -> None:
    put(directory("b"), file("a/x"), symlink("a", "b"), file("a/y"), file("a", b"file"), directory("a"), file("a/z"))
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["a", "a/z", "b", "b/y"]


def test_many_directories_in_turns(put: Unpacker, root: Path) -> None:
    put(*(file(f"{number % 150}/{number}", str(number).encode()) for number in range(450)))
    assert all((root / f"{number % 150}/{number}").read_text() == str(number) for number in range(450))


@pytest.mark.parametrize("end", [b"", bytes(100), bytes(1 << 20)])
def test_gzip_of_several_members(end: bytes) -> None:
    parts = [os.urandom(300_000), b"", b"x" * 5_000_000]
    data = b"".join(gzip.compress(part) for part in parts) + end
    stream = decompressed(io.BytesIO(data), "gzip")
    assert stream.read() == b"".join(parts)
    assert stream.read(10) == b""


def test_gzip_with_something_else_after_it() -> None:
    stream = decompressed(io.BytesIO(gzip.compress(b"x") + b"something"), "gzip")
    with pytest.raises(gzip.BadGzipFile):
        stream.read()


@pytest.mark.parametrize("cut", [5, 12, -9, -1])
def test_gzip_that_is_cut(cut: int) -> None:
    with pytest.raises(EOFError):
        decompressed(io.BytesIO(gzip.compress(b"content" * 1000)[:cut]), "gzip").read()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_headers_are_read_as_the_standard_library_does(root_fd: int, form: int) -> None:
    long = "/".join(["n" * 60] * 3)
    wanted = [
        file("plain", b"1" * 700, mode=0o4711, uid=1000, gid=5, mtime=1_700_000_000),
        file(long, b"2"),
        directory(f"d/{long}"),
        hard_link("hard", "plain"),
        symlink("soft", "a/b"),
        special("pipe", tarfile.FIFOTYPE),
        file("last", uid=0o7777777),
    ]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for info, data in wanted:
            tar.addfile(info, io.BytesIO(data))
    data = stream.getvalue()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        theirs = [shape(member) for member in tar]
    reader = TarReader(io.BytesIO(data))
    assert [shape(member) for member in reader.entries()] == theirs


def shape(info: tarfile.TarInfo) -> tuple[object, ...]:
    return info.name, info.type, info.mode, info.uid, info.gid, info.size, info.mtime, info.linkname, info.pax_headers
