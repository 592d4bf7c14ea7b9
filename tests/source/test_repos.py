from __future__ import annotations

import pwd

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


def test_an_account_that_does_not_exist() -> None:
    with pytest.raises(SystemFailure) as failed:
        account("nobody-of-that-name")
    assert failed.value.hint
