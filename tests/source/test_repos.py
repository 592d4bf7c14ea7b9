from __future__ import annotations

import os
import pwd
import zlib

import pytest

from paas.errors import SystemFailure
from paas.source import repos
from paas.system.accounts import account

from .repository import USER, Repository


def test_a_new_repository_is_whole_and_the_accounts(repository: Repository) -> None:
    assert repository.git("rev-parse", "--is-bare-repository") == "true"
    assert repository.git("fsck") == ""
    uid = pwd.getpwnam(USER).pw_uid
    assert {path.stat().st_uid for path in (repository.path, *repository.path.rglob("*"))} == {uid}
    assert repository.path.stat().st_mode & 0o077 == 0
    assert [path.name for path in repository.path.parent.iterdir()] == ["wiki.git"]


def test_one_that_is_there_stays(repository: Repository) -> None:
    oid = repository.blob(b"x")
    repos.init_bare(repository.path, USER)
    assert repository.git("cat-file", "-t", oid) == "blob"


def test_tidying(repository: Repository) -> None:
    commit = repository.commit(repository.tree((b"100644", b"x", repository.blob(b"x"))))
    repository.git("update-ref", "refs/heads/master", commit)
    repos.tidy(repository.path, USER)
    with repository.open(commit) as tree:
        assert tree.entry("x") is not None


def test_what_a_release_has_stays_when_no_branch_leads_to_it(repository: Repository) -> None:
    kept, gone, dropped = (repository.commit(repository.tree(), f"Number {number}") for number in range(3))
    repos.keep(repository.path, USER, [kept, gone])
    repos.keep(repository.path, USER, [kept, "0" * 39 + "1"])
    for file in repository.path.glob("objects/??/*"):
        os.utime(file, (1700000000, 1700000000))
    repos.collect(repository.path, USER)
    assert repos.commit_of(repository.path, kept, USER) == kept
    assert [repos.commit_of(repository.path, commit, USER) for commit in (gone, dropped)] == [None, None]


def test_an_account_that_does_not_exist() -> None:
    with pytest.raises(SystemFailure) as failed:
        account("nobody-of-that-name")
    assert failed.value.hint


def test_what_a_push_may_have_is_no_damage(repository: Repository) -> None:
    tree = repository.tree((b"0100644", b"x", repository.blob(b"x")))
    text = f"tree {tree}\nauthor A <a@b>1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n"
    repository.git("update-ref", "refs/heads/master", repository.raw("commit", text.encode()))
    assert repos.problem(repository.path, USER) is None


@pytest.mark.parametrize("damage", ["changed", "cut", "missing"])
def test_damage(repository: Repository, damage: str) -> None:
    blob = repository.blob(b"x")
    repository.git("update-ref", "refs/heads/master", repository.commit(repository.tree((b"100644", b"x", blob))))
    file = repository.path / "objects" / blob[:2] / blob[2:]
    file.chmod(0o644)
    match damage:
        case "changed":
            file.write_bytes(zlib.compress(b"blob 1\0y"))
        case "cut":
            file.write_bytes(b"")
        case "missing":
            file.unlink()
    assert blob[2:] in (repos.problem(repository.path, USER) or "")
