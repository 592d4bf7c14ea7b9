from __future__ import annotations

import shutil
import time

import pytest

from paas.errors import InvalidInput, NotFound
from paas.image.garbage import Pruned
from paas.image.store import ImageStore
from paas.model import HistoryEntry, Image, ImageConfig, Layer
from paas.paths import Paths
from paas.state.database import Database

CREATED = "2026-01-02T03:04:05Z"


def layer(store: ImageStore, digit: str) -> Layer:
    with store.draft() as draft:
        (draft.upper / digit).write_text(digit)
        return store.commit(draft, "sha256:" + digit * 64)


def image(store: ImageStore, *layers: Layer, env: str = "x", created: str = CREATED) -> Image:
    config = ImageConfig(env={"A": env}, cmd=("run",))
    return store.add_image(config, layers, [HistoryEntry(created, "RUN")], created, "amd64")


def test_an_image_comes_back_whole(store: ImageStore) -> None:
    layers = [layer(store, "2"), layer(store, "1"), layer(store, "3")]
    made = image(store, *layers)
    assert store.image(made.id) == made
    assert made.layers == tuple(layers)
    assert made.config.cmd == ("run",)


def test_the_same_parts_have_the_same_id_and_others_another(store: ImageStore) -> None:
    one, two = layer(store, "1"), layer(store, "2")
    made = image(store, one, two)
    assert image(store, one, two) == made
    others = [
        image(store, two, one),
        image(store, one),
        image(store, one, two, env="y"),
        image(store, one, two, created="2026-01-02T03:04:06Z"),
    ]
    assert len({made.id, *(other.id for other in others)}) == 5
    assert len(store.list()) == 5


def test_the_id_does_not_depend_on_this_machines_numbers(store: ImageStore, db: Database, paths: Paths) -> None:
    made = image(store, layer(store, "1"))
    fresh = Paths(paths.data / "second", paths.run)
    fresh.data.mkdir()
    elsewhere = Database(fresh.database)
    try:
        other = ImageStore(elsewhere, fresh)
        layer(other, "9")
        assert image(other, layer(other, "1")).id == made.id
    finally:
        elsewhere.close()


def test_tags(store: ImageStore) -> None:
    first, second = image(store), image(store, env="y")
    store.tag("docker.io/library/app", first.id)
    assert store.find("app") == first
    assert store.tagged("app:latest") == first
    store.tag("app:latest", second.id)
    assert store.find("library/app:latest") == second
    assert store.untag("app")
    assert not store.untag("app")
    assert store.tagged("app") is None
    with pytest.raises(InvalidInput):
        store.tag("No Such", first.id)


def test_find_by_id(store: ImageStore) -> None:
    made = image(store)
    for name in (made.id, made.id[:11], made.short_id, made.short_id[:4]):
        assert store.find(name) == made
    with pytest.raises(NotFound):
        store.find(made.short_id[:3])
    with pytest.raises(NotFound):
        store.find("sha256:%%%%")
    with pytest.raises(NotFound):
        store.image("sha256:" + "0" * 64)


def test_an_ambiguous_id(store: ImageStore, db: Database) -> None:
    for end in "ab":
        db.execute(
            "INSERT INTO images (id, config, history, architecture, created) VALUES (?, '', '[]', 'amd64', '')",
            ("sha256:abcd" + end * 60,),
        )
    with pytest.raises(NotFound, match="several"):
        store.find("abcd")


def test_not_found_says_what_to_do(store: ImageStore) -> None:
    store.tag("alpine:edge", image(store).id)
    for name, hint in (
        ("alpine:edgy", "alpine:edge"),
        ("debian:bookworm", "paas images:bootstrap debian:bookworm"),
        ("debian", "paas images:bootstrap debian"),
        ("ubuntu:noble", "paas images:bootstrap ubuntu:noble"),
        ("golang", "images:list"),
    ):
        with pytest.raises(NotFound) as missing:
            store.find(name)
        assert hint in (missing.value.hint or "")


def test_list_is_newest_first_once_for_each_tag(store: ImageStore) -> None:
    old, new = image(store), image(store, created="2026-02-02T03:04:05Z")
    store.tag("app:2", new.id)
    store.tag("app:1", new.id)
    assert [(entry.reference, entry.image) for entry in store.list()] == [("app:1", new), ("app:2", new), (None, old)]


def cached(store: ImageStore, key: str, size: int = 1, below: tuple[Layer, ...] = ()) -> tuple[Layer, ...]:
    """A step's layer, as a build that has ended leaves it in the cache."""
    with store.lease() as lease, store.draft() as draft:
        (draft.upper / key).write_bytes(b"x" * size)
        layers = store.cache_put(key, draft, f"sha256:{key}", lease, below)
    store.settle([key])
    return layers


def found(store: ImageStore, key: str) -> tuple[Layer, ...] | None:
    with store.lease() as lease:
        return store.cache_get(key, lease)


def test_the_build_cache(store: ImageStore) -> None:
    assert found(store, "key") is None
    one = cached(store, "key")
    assert found(store, "key") == one
    two = cached(store, "next", below=one)
    assert found(store, "next") == two == (*one, two[1])


def test_a_step_whose_lower_layer_is_gone_is_not_found(store: ImageStore) -> None:
    one = cached(store, "key")
    cached(store, "next", below=one)
    shutil.rmtree(store.layer_directory(one[0].number))
    assert found(store, "next") is None


def test_what_was_not_brought_to_disk_is_gone_after_a_crash(store: ImageStore, db: Database, paths: Paths) -> None:
    with store.lease() as lease, store.draft() as draft:
        store.cache_put("key", draft, "sha256:a", lease)
    again = ImageStore(db, paths)
    assert again.recover() == []
    assert found(again, "key") is None and not [e for e in paths.layers.iterdir() if e.name.isdigit()]
    cached(again, "key")
    assert ImageStore(db, paths).recover() == []
    assert found(again, "key")


def test_the_cache_is_trimmed_to_its_size_the_least_recently_used_first(store: ImageStore) -> None:
    for key in ("a", "b", "c"):
        cached(store, key, size=1000)
        time.sleep(0.002)  # the clock of the database has milliseconds
    store.settle(["a"])
    assert store.cache_usage().reclaimable == 3000
    assert store.prune(budget=2000).size == 1000
    assert [key for key in "abc" if found(store, key)] == ["a", "c"]
    assert store.prune(budget=0).layers == 2
    assert store.cache_usage().entries == 0


def test_what_a_build_uses_is_not_removed_before_it_ends(store: ImageStore) -> None:
    cached(store, "key")
    with store.lease() as lease:
        layers = store.cache_get("key", lease)
        assert layers
        made = store.add_image(ImageConfig(), layers, [], "2026-01-02T03:04:05Z", lease=lease)
        assert store.prune(budget=0).layers == 0
        assert store.image(made.id)
    assert (store.prune(budget=0).images, store.cache_usage().entries) == (1, 0)


def test_prune_keeps_what_is_tagged_released_or_cached(store: ImageStore, db: Database, paths: Paths) -> None:
    layers = {digit: layer(store, digit) for digit in "12345"}
    tagged, released = image(store, layers["1"]), image(store, layers["2"])
    unused = image(store, layers["1"], layers["3"])
    store.tag("app", tagged.id)
    fourth = cached(store, "key")
    db.execute("INSERT INTO apps (name, created) VALUES ('app', '')")
    db.execute(
        "INSERT INTO releases (app, number, image, config, processes, ports, mounts, git_commit, created, who, why)"
        " VALUES (1, 1, ?, '', '', '', '', '', '', '', '')",
        (released.id,),
    )
    done = store.prune()
    assert (done.images, done.layers) == (1, 3)
    assert store.image(tagged.id) and store.image(released.id)
    with pytest.raises(NotFound):
        store.image(unused.id)
    left = {str(layer.number) for layer in (layers["1"], layers["2"], *fourth)}
    assert {entry.name for entry in paths.layers.iterdir()} == left
    assert store.prune() == Pruned(0, 0, 0)
    assert store.recover() == []
