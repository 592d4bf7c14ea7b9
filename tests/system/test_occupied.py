"""What is counted of a directory, whoever writes there."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from paas.system import occupied as module
from paas.system import run as system
from paas.system.occupied import DEEPEST, Bounds, occupied

MIB = 1 << 20


def write(path: Path, size: int) -> None:
    path.write_bytes(os.urandom(size))


def test_blocks_of_sparse_files_and_hard_links_once(tmp_path: Path) -> None:
    write(tmp_path / "plain", MIB)
    (tmp_path / "link").hardlink_to(tmp_path / "plain")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(100 * MIB)
    (tmp_path / "below").mkdir()
    write(tmp_path / "below" / "other", MIB)
    found = occupied(str(tmp_path), Bounds())
    assert 2 * MIB <= found.bytes < 3 * MIB
    assert found.inodes == 4 and found.whole


def test_nothing_leads_elsewhere(tmp_path: Path) -> None:
    outside, top = tmp_path / "outside", tmp_path / "top"
    outside.mkdir()
    top.mkdir()
    write(outside / "big", MIB)
    (top / "up").symlink_to("..")
    (top / "out").symlink_to(outside)
    found = occupied(str(top), Bounds())
    assert found.bytes < MIB and found.inodes == 2
    (tmp_path / "link").symlink_to(outside)
    assert occupied(str(tmp_path / "link"), Bounds()).inodes == 0
    assert occupied(str(tmp_path / "missing"), Bounds()).inodes == 0


def test_the_counting_ends_at_its_bounds(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}").touch()
    found = occupied(str(tmp_path), Bounds(inodes=100))
    assert found.inodes == 101 and not found.whole
    late = occupied(str(tmp_path), Bounds(seconds=0))
    assert late.inodes < 600 and not late.whole
    write(tmp_path / "big", MIB)
    assert not occupied(str(tmp_path), Bounds(bytes=MIB // 2)).whole


def test_directories_beyond_all_depth_are_told_of(tmp_path: Path) -> None:
    """Deeper than any path can name, which takes the walk no more descriptors than its depth."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2 * DEEPEST):
        os.mkdir("d" * 40, dir_fd=descriptor)
        below = os.open("d" * 40, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    found = occupied(str(tmp_path), Bounds())
    assert found.too_deep and found.inodes == DEEPEST
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_directories_that_are_renamed_meanwhile(tmp_path: Path) -> None:
    """Swapped with a link to the root all the time: it is not followed."""
    top, aside = tmp_path / "top", tmp_path / "aside"
    (top / "swapped").mkdir(parents=True)
    for number in range(50):
        (top / "swapped" / str(number)).touch()
    (aside).symlink_to("/")
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            (top / "swapped").rename(tmp_path / "held")
            aside.rename(top / "swapped")
            (top / "swapped").rename(aside)
            (tmp_path / "held").rename(top / "swapped")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(300):
            assert occupied(str(top), Bounds()).inodes <= 51
    finally:
        ended.set()
        thread.join()


_HOLD = """
import mmap, os, sys
place = sys.argv[1]
with open(place + "/open", "w+b") as file:
    file.write(os.urandom(1 << 20)); file.flush()
    os.unlink(place + "/open")
    mapped = open(place + "/mapped", "w+b")
    mapped.write(os.urandom(1 << 20)); mapped.flush()
    view = mmap.mmap(mapped.fileno(), 0); mapped.close()
    os.unlink(place + "/mapped")
    shared = os.memfd_create("x"); os.write(shared, bytes(1 << 20))
    print(flush=True); sys.stdin.read()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="what others have mapped is shown to root")
def test_deleted_files_that_are_held_open(tmp_path: Path) -> None:
    """Open or mapped; what lies in memory is another file system's."""
    argv = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with system.start(argv, stdin=system.PIPE, stdout=system.PIPE) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        holder.stdout.readline()
        assert occupied(str(tmp_path), Bounds()).inodes == 0
        found = occupied(str(tmp_path), Bounds(), [holder.pid])
        assert found.inodes == 2 and 2 * MIB <= found.bytes < 3 * MIB
        holder.stdin.close()
    assert occupied(str(tmp_path), Bounds(), [holder.pid]).inodes == 0


def test_the_program_needs_nothing_but_python() -> None:
    argv = [sys.executable, "-I", "-S", module.__file__]
    done = system.run(argv, input=b'[["/nonexistent", [null, null, 1], [], []]]')
    assert done.stdout.startswith(b"[0, 0, true, false, ")
