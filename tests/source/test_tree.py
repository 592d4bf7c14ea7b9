from __future__ import annotations

import os
import pwd
import threading

import pytest

from paas.errors import InvalidInput, SystemFailure
from paas.model import NULL_COMMIT

from .repository import USER, Repository

FILE, PROGRAM, DIRECTORY, LINK, MODULE = b"100644", b"100755", b"40000", b"120000", b"160000"


def _sample(repository: Repository) -> str:
    inner = repository.tree((FILE, b"b.txt", repository.blob(b"bee")))
    return repository.tree(
        (FILE, b"Dockerfile", repository.blob(b"FROM scratch\n")),
        (LINK, b"link", repository.blob(b"src/b.txt")),
        (MODULE, b"module", "1" * 40),
        (PROGRAM, b"run.sh", repository.blob(b"#!/bin/sh\n")),
        (DIRECTORY, b"src", inner),
        (FILE, b"\xff.bin", repository.blob(bytes(range(256)))),
    )


def test_what_a_commit_says(repository: Repository) -> None:
    tree = _sample(repository)
    commit = repository.commit(tree, "Subject line\n\ncommitter Eve <e@x> 1 +0000\n")
    with repository.open(commit) as opened:
        assert (opened.commit, opened.root_oid, opened.time) == (commit, tree, 1700000000)
        assert (opened.author, opened.subject) == ("Ann <ann@example.com>", "Subject line")


def test_entries(repository: Repository) -> None:
    with repository.open(repository.commit(_sample(repository))) as tree:
        found = {entry.path: (entry.kind, entry.mode) for entry in tree.walk(tree.root)}
        assert found == {
            "Dockerfile": ("file", 0o644),
            "link": ("link", 0o644),
            "module": ("submodule", 0o644),
            "run.sh": ("file", 0o755),
            "src": ("dir", 0o755),
            "src/b.txt": ("file", 0o644),
            "\udcff.bin": ("file", 0o644),
        }
        assert tree.entry("src/b.txt") is not None
        for path in ("nothing", "src/nothing", "Dockerfile/x", "link/x", "src//b.txt", "..", "/src"):
            assert tree.entry(path) is None
        src = tree.entry("src")
        assert src is not None and tree.tree_oid("src") == src.oid and tree.tree_oid("") == tree.root_oid
        assert tree.tree_oid("Dockerfile") is None
        assert [entry.path for entry in tree.list(src)] == ["src/b.txt"]


def test_content(repository: Repository) -> None:
    large = os.urandom(1 << 20) * 3 + b"end"
    commit = repository.commit(
        repository.tree((FILE, b"empty", repository.blob(b"")), (FILE, b"large", repository.blob(large)))
    )
    with repository.open(commit) as tree:
        empty, entry = tree.entry("empty"), tree.entry("large")
        assert empty is not None and entry is not None
        assert tree.read(empty, 0) == b""
        with pytest.raises(InvalidInput, match="too large"):
            tree.read(entry, 1000)
        assert tree.read(entry, len(large)) == large
        read, write = os.pipe()
        received = bytearray()
        with os.fdopen(read, "rb") as source:
            thread = threading.Thread(target=lambda: received.extend(source.read()))
            thread.start()
            tree.copy_to(entry, write)
            tree.copy_to(empty, write)
            os.close(write)
            thread.join()
        assert received == large
        assert tree.read(empty, 0) == b""


def test_a_target_that_is_full(repository: Repository) -> None:
    entry_oid = repository.blob(bytes(100_000))
    with repository.open(repository.commit(repository.tree((FILE, b"x", entry_oid)))) as tree:
        entry = tree.entry("x")
        assert entry is not None
        full = os.open("/dev/full", os.O_WRONLY)
        with pytest.raises(OSError):
            tree.copy_to(entry, full)
        os.close(full)
        with pytest.raises(SystemFailure):  # and not the rest of that file
            tree.read(entry, 1 << 20)


def test_objects_in_quarantine(repository: Repository) -> None:
    quarantine = repository.path / "objects/tmp_objdir-incoming-x"
    quarantine.mkdir()
    account = pwd.getpwnam(USER)
    os.chown(quarantine, account.pw_uid, account.pw_gid)
    known = repository.blob(b"known")
    env = {
        "GIT_OBJECT_DIRECTORY": str(quarantine),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(repository.path / "objects"),
    }
    tree = repository.tree((FILE, b"new", repository.blob(b"new", env)), (FILE, b"old", known), env=env)
    commit = repository.commit(tree, env=env)
    with repository.open(commit, quarantine) as opened:
        assert [opened.read(entry, 10) for entry in opened.walk(opened.root)] == [b"new", b"known"]
    with pytest.raises(InvalidInput, match="lacks the object"), repository.open(commit):
        pass


@pytest.mark.parametrize(
    "entry",
    [
        (FILE, b".."),
        (FILE, b"."),
        (DIRECTORY, b".git"),
        (DIRECTORY, b".GiT"),
        (FILE, b""),
        (FILE, b"a/b"),
        (FILE, b"/etc"),
        (FILE, b"x" * 300),
        (b"0", b"x"),
        (b"-40000", b"x"),
        (b"0o100644", b"x"),
        (b"010000", b"fifo"),
        (b"777777", b"x"),
    ],
)
def test_hostile_entries(repository: Repository, entry: tuple[bytes, bytes]) -> None:
    mode, name = entry
    oid = repository.blob(b"x")
    with repository.open(repository.commit(repository.tree((mode, name, oid)))) as tree, pytest.raises(InvalidInput):
        list(tree.walk(tree.root))


def test_duplicate_names(repository: Repository) -> None:
    oid = repository.blob(b"x")
    commit = repository.commit(repository.tree((FILE, b"x", oid), (LINK, b"x", oid)))
    with repository.open(commit) as tree, pytest.raises(InvalidInput):
        tree.entry("x")


@pytest.mark.parametrize("data", [b"100644 x\0short", b"100644", b"\0", b"100644 x", b" \0" + bytes(20)])
def test_damaged_trees(repository: Repository, data: bytes) -> None:
    commit = repository.commit_of(repository.raw("tree", data))
    with repository.open(commit) as tree, pytest.raises(InvalidInput):
        tree.list(tree.root)


def test_objects_that_are_not_there_or_of_another_kind(repository: Repository) -> None:
    blob = repository.blob(b"x")
    for commit in (NULL_COMMIT, "1" * 40, blob, "HEAD", "master\nHEAD", ""):
        with pytest.raises(InvalidInput), repository.open(commit):
            pass
    commit = repository.commit_of("2" * 40)
    with repository.open(commit) as tree, pytest.raises(InvalidInput, match="lacks the object"):
        tree.entry("x")
    commit = repository.commit(repository.tree((FILE, b"x", "3" * 40), (DIRECTORY, b"y", blob)))
    with repository.open(commit) as tree:
        missing, wrong = tree.entry("x"), tree.entry("y")
        assert missing is not None and wrong is not None
        with pytest.raises(InvalidInput, match="lacks the object"):
            tree.read(missing, 10)
        with pytest.raises(InvalidInput, match="is a blob"):
            tree.list(wrong)


def test_deep_trees_and_trees_that_unfold_without_end(repository: Repository) -> None:
    oid = repository.tree((FILE, b"x", repository.blob(b"x")))
    for _ in range(7):
        oid = repository.tree(*((DIRECTORY, bytes([97 + n]), oid) for n in range(10)))
    with repository.open(repository.commit(oid), most=10_000) as tree, pytest.raises(InvalidInput, match="more than"):
        for _ in tree.walk(tree.root):
            pass
    oid = repository.blob(b"x")
    mode = FILE
    for _ in range(300):
        oid, mode = repository.tree((mode, b"d", oid)), DIRECTORY
    with repository.open(repository.commit(oid)) as tree, pytest.raises(InvalidInput, match="too deeply"):
        for _ in tree.walk(tree.root):
            pass


def test_configuration_and_replacements_of_the_repository_are_not_followed(repository: Repository) -> None:
    real, other = repository.blob(b"real"), repository.blob(b"other")
    commit = repository.commit(repository.tree((FILE, b"x", real)))
    repository.git("update-ref", f"refs/replace/{real}", other)
    with repository.open(commit) as tree:
        entry = tree.entry("x")
        assert entry is not None and tree.read(entry, 10) == b"real"


def test_no_process_is_left(repository: Repository) -> None:
    commit = repository.commit(_sample(repository))
    with repository.open(commit) as tree:
        process = tree._process
    assert process.poll() is not None
