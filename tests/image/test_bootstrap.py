"""Against a real mirror that has hiccups, once in a session: it takes about three quarters of a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.errors import Cancelled, InvalidInput, SystemFailure
from paas.image.bootstrap import bootstrap
from paas.image.passwd import resolve_user
from paas.image.store import ImageStore
from paas.model import Image
from paas.output import Discard, Hangup
from paas.paths import Paths
from paas.state.database import Database
from paas.system.mounts import mount_points

from .mirror import hiccups

Made = tuple[ImageStore, Image]
REFUSALS = 4
"""More than apt puts up with by itself."""


class Recorder(Discard):
    def __init__(self) -> None:
        self.headings: list[str] = []
        self.details: list[str] = []

    def heading(self, text: str) -> None:
        self.headings.append(text)

    def detail(self, text: str) -> None:
        self.details.append(text)
        if len(self.details) == 3:
            raise Hangup  # nobody listens any more; the work goes on


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    top = tmp_path_factory.mktemp("bootstrap")
    db = Database(top / "paas.db")
    store = ImageStore(db, Paths(top, top / "run"))
    out = Recorder()
    with hiccups(REFUSALS) as (proxy, asked):
        image = bootstrap(store, "debian", out, proxy=proxy)
    assert max(asked.values()) > REFUSALS
    assert out.headings == ["Making debian:bookworm from its packages"]
    assert len(out.details) == 3
    yield store, image
    db.close()


def leftovers() -> set[str]:
    found = {str(path) for path in Path("/tmp").glob("mmdebstrap.*")}
    return found | {str(point) for point in mount_points(Path("/tmp")) if "mmdebstrap" in str(point)}


def test_the_image(made: Made) -> None:
    store, image = made
    assert {entry.reference for entry in store.list()} == {"debian:bookworm", "debian:latest"}
    assert store.find("debian") == image
    assert image.config.cmd == ("bash",)
    assert "/usr/bin" in image.config.env["PATH"]
    assert len(image.layers) == len(image.history) == 1
    root = store.layer_directory(image.layers[0].number)
    assert (root / "usr/bin/passwd").stat().st_mode & 0o7777 == 0o4755
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert resolve_user(root, "www-data").uid == 33
    sources = (root / "etc/apt/sources.list").read_text()
    for suite in ("bookworm ", "bookworm-updates ", "bookworm-security "):
        assert suite in sources


def test_it_is_clean(made: Made) -> None:
    store, image = made
    root = store.layer_directory(image.layers[0].number)
    assert not [path for path in (root / "dev").iterdir() if path.is_char_device() and not path.is_symlink()]
    assert not list((root / "var/cache/apt").rglob("*.deb"))
    assert not [path for path in (root / "var/lib/apt/lists").iterdir() if path.name not in ("lock", "partial")]


def test_what_is_there_stays(made: Made) -> None:
    store, image = made
    out = Recorder()
    assert bootstrap(store, "docker.io/library/debian:bookworm", out) == image
    assert "here already" in out.headings[0]


@pytest.mark.parametrize("name", ["fedora:40", "debian:BAD", "team/debian:bookworm", "example.com/debian", "debian:-x"])
def test_only_what_can_be_made(store: ImageStore, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        bootstrap(store, name, Discard())
    assert refused.value.hint


def test_a_suite_that_does_not_exist(store: ImageStore, paths: Paths) -> None:
    before = leftovers()
    with pytest.raises(SystemFailure, match="nosuchsuite") as failed:
        bootstrap(store, "debian:nosuchsuite", Discard())
    assert "Release" in failed.value.message
    assert (store.list(), list(paths.layers.iterdir()), leftovers() - before) == ([], [], set())


def test_cancelled_in_the_middle(store: ImageStore, paths: Paths) -> None:
    before, started = leftovers(), time.monotonic()
    with pytest.raises(Cancelled):
        bootstrap(store, "debian:bookworm", Discard(), cancelled=lambda: time.monotonic() > started + 2)
    assert time.monotonic() < started + 20
    assert (store.list(), list(paths.layers.iterdir()), leftovers() - before) == ([], [], set())
