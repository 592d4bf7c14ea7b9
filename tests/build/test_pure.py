"""Modes, selections and paths: what the pure parts promise for any input."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.build.dockerfile.parser import parse
from paas.build.modes import parse_mode
from paas.build.selection import Exclusion, SourcePattern, normal
from paas.build.stage import Stage
from paas.errors import InvalidInput
from paas.source.directory import DirectoryTree
from paas.source.entry import Entry
from paas.system.run import run

CLAUSES = st.lists(
    st.tuples(
        st.text("ugoa", max_size=3),
        st.lists(st.tuples(st.sampled_from("+-="), st.text("rwxXst", max_size=4) | st.sampled_from("ugo")), min_size=1,
                 max_size=2),
    ),
    min_size=1,
    max_size=3,
)  # fmt: skip


@given(CLAUSES, st.integers(0, 0o777), st.booleans())
def test_symbolic_modes_are_those_of_chmod(
    clauses: list[tuple[str, list[tuple[str, str]]]], mode: int, is_dir: bool
) -> None:
    text = ",".join((who or "a") + "".join(op + what for op, what in actions) for who, actions in clauses)
    change = parse_mode(text)
    assert change is not None
    path = Path("/tmp", f"paas-mode-{os.getpid()}")
    path.mkdir() if is_dir else path.touch()
    try:
        path.chmod(mode)
        run(["chmod", "--", text, str(path)])
        expected = stat.S_IMODE(path.stat().st_mode)
    finally:
        path.rmdir() if is_dir else path.unlink()
    # chmod(1) leaves set-id bits of directories alone unless they are named; those are not what files are copied with.
    mask = 0o1777 if is_dir else 0o7777
    assert change(mode, is_dir) & mask == expected & mask


@pytest.mark.parametrize("text", ["8", "77777", "u", "u+z", "+", ",", "a=rwx,", "755 ", "-1"])
def test_what_is_no_mode(text: str) -> None:
    if text == "+":
        assert parse_mode(text)
        return
    with pytest.raises(InvalidInput):
        parse_mode(text)


@given(st.text(max_size=60) | st.text("./a*\\ ", max_size=30))
def test_a_source_never_leads_outside(text: str) -> None:
    try:
        path = normal(text)
    except InvalidInput:
        return
    assert not path.startswith("/") and ".." not in path.split("/")
    assert SourcePattern.parse(text).path == path


@given(st.text(max_size=60) | st.text("./a", max_size=30), st.text("./b", max_size=12))
def test_a_destination_is_always_absolute_and_without_dots(text: str, workdir: str) -> None:
    stage = Stage(parse(b"FROM scratch\n"), "")
    stage.set(workdir=stage.absolute(workdir))
    path = stage.absolute(text)
    assert path.startswith("/") and not path.startswith("//")
    assert not {".", ".."} & set(path.split("/"))


@pytest.mark.parametrize(
    ("pattern", "path", "parents"),
    [
        ("a/b/c", "a/b/c", "a/b"),
        ("./a/./b/c", "a/b/c", "b"),
        ("a/./*/x", "a/q/x", "q"),
        ("*/./x", "q/x", ""),
        ("x", "x", ""),
        ("**/x", "a/b/x", "a/b"),
    ],
)
def test_parents_that_are_kept(pattern: str, path: str, parents: str) -> None:
    assert SourcePattern.parse(pattern).kept_parents(path) == parents


def test_exclusions() -> None:
    exclusion = Exclusion(["*.md", "/x/y/", "**/z"])
    assert [exclusion.covers(path) for path in ("a.md", "b/a.md", "x/y", "x", "q/r/z")] == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_directory_is_hashed_again_only_where_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, memory = tmp_path / "context", tmp_path / "memory"
    for name in ("a", "b/c"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(name)
        os.utime(place / name, (1_600_000_000, 1_600_000_000))
    hashed: list[str] = []
    original = DirectoryTree._hash

    def hash_and_tell(tree: DirectoryTree, entry: Entry) -> str:
        hashed.append(entry.path)
        return original(tree, entry)

    monkeypatch.setattr(DirectoryTree, "_hash", hash_and_tell)
    monkeypatch.setattr("paas.source.directory._RACY", -10_000_000_000)

    def contents() -> dict[str, str]:
        with DirectoryTree(os.open(place, os.O_RDONLY | os.O_DIRECTORY), memory) as tree:
            return {entry.path: tree.content(entry) for entry in tree.walk(tree.root)}

    first = contents()
    assert contents() == first and hashed == ["a", "b/c"]
    (place / "b/c").write_text("d")
    assert contents()["b/c"] != first["b/c"] and hashed == ["a", "b/c", "b/c"]


def test_a_directory_that_is_changed_while_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("inside")
    with DirectoryTree(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)) as tree:
        entry = tree.entry("folder/file")
        assert entry is not None
        (tmp_path / "folder").rename(tmp_path / "moved")
        (tmp_path / "folder").symlink_to("/etc")
        (tmp_path / "moved/file").unlink()
        os.mkfifo(tmp_path / "moved/file")
        with pytest.raises(InvalidInput):
            tree.read(entry, 100)
    with DirectoryTree(os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)) as tree:
        assert tree.entry("folder/passwd") is None
        found = tree.entry("folder")
        assert found is not None and found.kind == "link"
