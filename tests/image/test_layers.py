from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.errors import SystemFailure
from paas.image.store import ImageStore
from paas.model import Layer
from paas.paths import Paths
from paas.state import seals
from paas.state.database import Database

ID = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64


def add(store: ImageStore, id: str = ID, **files: str) -> Layer:
    with store.draft() as draft:
        for name, content in files.items():
            (draft.upper / name).write_text(content)
        return store.commit(draft, id)


def names(paths: Paths) -> list[str]:
    return sorted(path.name for path in paths.layers.iterdir())


def test_commit(store: ImageStore, paths: Paths) -> None:
    with store.draft() as draft:
        (draft.upper / "sub").mkdir()
        (draft.upper / "sub/a").write_text("12345")
        os.link(draft.upper / "sub/a", draft.upper / "b")
        (draft.upper / "c").write_text("678")
        (draft.upper / "link").symlink_to("c")
        layer = store.commit(draft, ID)
    assert layer.size == 8
    assert (store.layer_directory(layer.number) / "sub/a").read_text() == "12345"
    assert store.layer_directory(layer.number).stat().st_mode & 0o7777 == 0o755
    assert store.layer_by_id(ID) == layer
    assert names(paths) == [str(layer.number)]


def test_many_files_are_committed_as_well(store: ImageStore) -> None:
    layer = add(store, **{f"file{i}": "x" for i in range(200)})
    assert layer.size == 200


def test_a_draft_that_is_not_committed_is_gone(store: ImageStore, paths: Paths) -> None:
    with pytest.raises(KeyError), store.draft() as draft:
        (draft.upper / "a").write_text("")
        assert draft.upper.stat().st_dev == draft.work.stat().st_dev
        raise KeyError
    assert names(paths) == []


def test_the_same_layer_twice_is_one(store: ImageStore, paths: Paths) -> None:
    first = add(store, a="1")
    assert add(store, a="1") == first
    assert names(paths) == [str(first.number)]


def test_numbers_are_never_given_twice(store: ImageStore) -> None:
    first = add(store)
    assert store.prune().layers == 1
    assert add(store).number > first.number


def test_no_other_user_can_reach_the_layers(store: ImageStore, paths: Paths) -> None:
    assert paths.layers.stat().st_mode & 0o777 == 0o700


def test_layers_of_an_older_version_are_closed_at_start(db: Database, paths: Paths) -> None:
    paths.layers.mkdir(mode=0o755)
    ImageStore(db, paths)
    assert paths.layers.stat().st_mode & 0o777 == 0o700


def test_recover_removes_what_no_row_knows(store: ImageStore, db: Database, paths: Paths) -> None:
    kept = add(store, a="1")
    store.draft()  # the engine was killed during a build
    (paths.layers / "999").mkdir()  # or between a rename and its commit
    (paths.layers / "999/a").write_text("")
    assert ImageStore(db, paths).recover() == []
    assert names(paths) == [str(kept.number)]


def test_recover_reports_what_is_missing_and_a_commit_brings_it_back(store: ImageStore) -> None:
    layer = add(store, a="1")
    store.layer_directory(layer.number).rename(store.layer_directory(0).with_name(".tmp-lost"))
    assert store.recover() == [layer]
    assert add(store, a="1") == layer
    assert store.recover() == []


def test_what_containers_may_run_on_stays_until_the_machine_starts_again(
    store: ImageStore, db: Database, paths: Paths
) -> None:
    layer = add(store, a="1", b="2")
    (store.layer_directory(layer.number) / "b").unlink()
    (paths.layers / ".aside-another-start-of-the-machine-1").mkdir()
    fresh = ImageStore(db, paths)  # as the next engine, which has not looked at the layer yet
    add(fresh, a="1", b="2")
    assert ImageStore(db, paths).recover() == []
    assert (store.layer_directory(layer.number) / "b").read_text() == "2"
    aside = [path for path in paths.layers.iterdir() if path.name.startswith(".")]
    assert [[file.name for file in path.iterdir()] for path in aside] == [["a"]]


def test_a_layer_that_is_whole_again_is_sealed(store: ImageStore, db: Database) -> None:
    layer = add(store, a="1", b="2")
    (store.layer_directory(layer.number) / "b").unlink()
    assert store.seal_one(lambda: False)
    assert not store.seal_one(lambda: False), "what is damaged is read once"
    add(store, a="1", b="2")
    assert store.seal_one(lambda: False)
    assert seals.lacking(db) == []


def test_a_commit_that_failed_after_its_rename_does_not_block_the_next(store: ImageStore, db: Database) -> None:
    with pytest.raises(KeyError), db.transaction():
        number = add(store, a="first").number
        raise KeyError
    assert store.layer_by_id(ID) is None
    layer = add(store, OTHER, b="second")
    assert layer.number == number
    assert [path.name for path in store.layer_directory(number).iterdir()] == ["b"]


def test_a_draft_whose_files_are_gone_is_a_clean_error(store: ImageStore) -> None:
    with store.draft() as draft, pytest.raises(SystemFailure, match="layer cannot be kept"):
        draft.upper.rmdir()
        store.commit(draft, ID)
    assert store.layer_by_id(ID) is None


def test_nothing_is_followed_while_measuring(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "big/file").write_text("x" * 1000)
    with store.draft() as draft:
        (draft.upper / "link").symlink_to(tmp_path / "big")
        assert store.commit(draft, ID).size == 0
