"""A layer whose directory is damaged comes back from the registry it came from, checked by its digest."""

from __future__ import annotations

from paas.integrity.finding import Asked
from paas.integrity.stored_images import Images
from tests.image.tars import archive, file
from tests.registry.conftest import Side


def images(side: Side) -> Images:
    return Images(side.db, side.store, side.registries)


def test_a_damaged_layer_is_fetched_again(here: Side, there: Side, name: str) -> None:
    here.image(archive(file("a", b"first\n")), archive(file("b", b"second\n")), name=name)
    here.push(name)
    pulled = there.pull(name)
    again = Side.again(there)
    assert list(images(again).check(Asked(repair=False))) == []
    directory = again.store.layer_directory(pulled.layers[0].number)
    (directory / "a").write_bytes(b"f")
    (found,) = images(again).check(Asked(repair=False))
    assert (found.kind, found.name) == ("layer", directory.name)
    assert name in found.problem and f"paas pull {name}" in found.advice
    (found,) = images(again).check(Asked(repair=True))
    assert found.repaired
    assert (directory / "a").read_bytes() == b"first\n"
    assert list(images(again).check(Asked(repair=False))) == []
    Side.again(there).store.recover()
    assert there.is_clean()


def test_what_was_pushed_comes_back_as_well_but_not_what_the_registry_lost(here: Side, name: str) -> None:
    image = here.image(archive(file("a", b"first\n")), name=name)
    here.push(name)
    directory = here.store.layer_directory(image.layers[0].number)
    (directory / "a").unlink()
    (found,) = images(Side.again(here)).check(Asked(repair=True))
    assert found.repaired
    assert (directory / "a").read_bytes() == b"first\n"

    (directory / "a").unlink()
    here.db.execute("UPDATE blobs SET digest = 'sha256:' || hex(zeroblob(32))")
    (found,) = images(Side.again(here)).check(Asked(repair=True))
    assert found.is_open
    assert "it cannot be fetched" in found.problem
    assert directory.is_dir() and not (directory / "a").exists(), "what is left stays as it was"
