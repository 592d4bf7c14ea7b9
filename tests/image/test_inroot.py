from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.system.inroot import make_directories, open_in_root, read_in_root


@pytest.mark.parametrize("target", ["/file", "../../file", "../../../../file", "/sub/../file"])
def test_symlinks_resolve_in_the_root(root: Path, root_fd: int, target: str) -> None:
    (root / "file").write_text("inside")
    (root / "sub").mkdir()
    (root / "sub/link").symlink_to(target)
    assert read_in_root(root_fd, "sub/link", 100) == b"inside"


def test_nothing_outside_is_reached(root: Path, root_fd: int) -> None:
    (root / "absolute").symlink_to(root.parent / "outside")
    (root / "up").symlink_to("../outside")
    for path in ("absolute", "up", "../outside", str(root.parent / "outside")):
        assert read_in_root(root_fd, path, 100) is None
        with pytest.raises(FileNotFoundError):
            open_in_root(root_fd, path, os.O_RDONLY)


def test_magic_links_are_refused(root: Path) -> None:
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(OSError):
            open_in_root(proc, f"{os.getpid()}/root/etc", os.O_RDONLY)
    finally:
        os.close(proc)


def test_only_regular_files_are_read_and_no_more_than_the_limit(root: Path, root_fd: int) -> None:
    os.mkfifo(root / "pipe")
    (root / "zero").symlink_to("device")
    os.mknod(root / "device", 0o20666, os.makedev(1, 5))
    (root / "long").write_text("x" * 100)
    assert read_in_root(root_fd, "pipe", 10) is None
    assert read_in_root(root_fd, "zero", 10) is None
    assert read_in_root(root_fd, ".", 10) is None
    assert read_in_root(root_fd, "long", 10) == b"x" * 10


def test_a_nul_does_not_cut_the_path(root: Path, root_fd: int) -> None:
    (root / "a").write_text("")
    with pytest.raises(OSError, match="Invalid argument"):
        open_in_root(root_fd, "a\0b", os.O_RDONLY)


def test_make_directories(root: Path, root_fd: int) -> None:
    (root / "var").mkdir()
    (root / "link").symlink_to("/var")
    os.close(make_directories(root_fd, "/link/a/b/", 0o750))
    os.close(make_directories(root_fd, "/link/a/b"))
    os.close(make_directories(root_fd, ""))
    assert (root / "var/a/b").stat().st_mode & 0o7777 == 0o750


def test_make_directories_stays_inside(root: Path, root_fd: int) -> None:
    (root / "up").symlink_to("../..")
    os.close(make_directories(root_fd, "up/made"))
    assert (root / "made").is_dir()
    assert not (root.parent / "made").exists()
    (root / "dangling").symlink_to("/nowhere/at/all")
    with pytest.raises(FileNotFoundError):
        make_directories(root_fd, "dangling/x")


def test_no_descriptor_stays_open(root: Path, root_fd: int) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    os.close(make_directories(root_fd, "a/b/c/d"))
    read_in_root(root_fd, "a", 1)
    read_in_root(root_fd, "missing", 1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
