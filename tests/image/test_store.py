from __future__ import annotations

import pytest

from paas.errors import InvalidInput, NotFound
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


def test_the_build_cache(store: ImageStore) -> None:
    one, two = layer(store, "1"), layer(store, "2")
    assert store.cache_get("key") is None
    store.cache_put("key", one)
    assert store.cache_get("key") == one
    store.cache_put("key", two)
    assert store.cache_get("key") == two


def test_prune_keeps_what_is_tagged_released_or_cached(store: ImageStore, db: Database, paths: Paths) -> None:
    layers = {digit: layer(store, digit) for digit in "12345"}
    tagged, released = image(store, layers["1"]), image(store, layers["2"])
    unused = image(store, layers["1"], layers["3"])
    store.tag("app", tagged.id)
    store.cache_put("key", layers["4"])
    db.execute("INSERT INTO apps (name, created) VALUES ('app', '')")
    db.execute(
        "INSERT INTO releases (app, number, image, config, processes, ports, mounts, git_commit, created, who, why)"
        " VALUES (1, 1, ?, '', '', '', '', '', '', '', '')",
        (released.id,),
    )
    assert store.prune() == (1, 2)
    assert store.image(tagged.id) and store.image(released.id)
    with pytest.raises(NotFound):
        store.image(unused.id)
    left = {str(layers[digit].number) for digit in "124"}
    assert {entry.name for entry in paths.layers.iterdir()} == left
    assert store.prune() == (0, 0)
    assert store.recover() == []
