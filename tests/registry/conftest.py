"""Stores, registries and images for tests of pulling and pushing; all on loopback."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paas.image.apply import apply_layer
from paas.image.store import ImageStore
from paas.image.unpack import Limits
from paas.model import HistoryEntry, Image, ImageConfig
from paas.paths import Paths
from paas.registry import downloads, transport, uploads
from paas.registry.registries import Registries
from paas.settings import Settings
from paas.state.database import Database
from tests.harness.registry import Proxy, Registry, serve
from tests.image.tars import archive, file

CREATED = "2026-01-02T03:04:05Z"
MakeImage = Callable[..., Image]


class Lines:
    """What was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class Side:
    """A machine's store and its registries; several of them stand for several machines."""

    def __init__(self, top: Path, **settings: object) -> None:
        self.top = top
        self.paths = Paths(top / "data", top / "run")
        self.paths.data.mkdir(parents=True, exist_ok=True)
        self.db = Database(self.paths.database)
        self.store = ImageStore(self.db, self.paths)
        self.registries = Registries(Settings(**settings), self.paths, self.store)  # type: ignore[arg-type]
        self.out = Lines()

    @classmethod
    def again(cls, other: Side) -> Side:
        """The machine after its engine was killed."""
        return cls(other.top)

    def pull(self, name: str) -> Image:
        return self.registries.pull(name, self.out.line, lambda: False).image

    def push(self, name: str) -> str:
        return self.registries.push(name, self.out.line, lambda: False).digest

    def image(self, *tars: bytes, name: str, **config: object) -> Image:
        """An image of layers with these plain tars, tagged."""
        with self.store.lease() as lease:
            layers = [apply_layer(self.store, io.BytesIO(tar), lease, limits=Limits()) for tar in tars]
            self.store.settle()
            history = [HistoryEntry(CREATED, f"layer {number}") for number, _ in enumerate(layers)]
            image = self.store.add_image(ImageConfig(**config), layers, history, CREATED)  # type: ignore[arg-type]
            self.store.tag(name, image.id)
        return image

    def is_clean(self) -> bool:
        """Nothing lies about: neither half a layer nor a download."""
        scratch = list(self.paths.scratch.iterdir()) if self.paths.scratch.exists() else []
        drafts = [entry for entry in self.paths.layers.iterdir() if entry.name.startswith(".tmp")]
        working = list(self.paths.downloads.glob("pull-*"))
        return not scratch and not drafts and not working

    def files(self, image: Image) -> dict[str, bytes]:
        """The content of the regular files of all layers."""
        found = {}
        for layer in image.layers:
            top = self.store.layer_directory(layer.number)
            for path in sorted(top.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    found[str(path.relative_to(top))] = path.read_bytes()
        return found


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    with tempfile.TemporaryDirectory() as top, serve(Path(top) / "registry") as made:
        yield made


@pytest.fixture(scope="session")
def secure_registry() -> Iterator[Registry]:
    with tempfile.TemporaryDirectory() as top, serve(Path(top) / "registry", secure=True) as made:
        yield made


@pytest.fixture
def new_side(tmp_path: Path) -> Iterator[Callable[..., Side]]:
    made: list[Side] = []

    def make(**settings: object) -> Side:
        made.append(Side(tmp_path / f"side{len(made)}", **settings))
        return made[-1]

    yield make
    for side in made:
        side.db.close()


@pytest.fixture
def here(new_side: Callable[..., Side]) -> Side:
    return new_side()


@pytest.fixture
def there(new_side: Callable[..., Side]) -> Side:
    return new_side()


@pytest.fixture
def repo(registry: Registry) -> str:
    """The name of a repository that nobody else uses."""
    return f"{registry.host}/test/{os.urandom(4).hex()}"


NOISE = os.urandom(3 << 20)
BASE = archive(file("noise", NOISE))
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (transport, downloads, uploads):
        monkeypatch.setattr(module, "PATIENCE", (0.01, 0.01, 0.01))


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    with Proxy(registry.port) as made:
        yield made


@pytest.fixture
def name(here: Side, repo: str, proxy: Proxy) -> str:
    """The name by which an image is reached through the proxy."""
    here.image(BASE, name=f"{repo}:1")
    here.push(f"{repo}:1")
    return f"{proxy.host}/{repo.partition('/')[2]}:1"


def is_blob(path: str) -> bool:
    return "/blobs/sha256:" in path


def assert_nothing(side: Side) -> None:
    assert side.is_clean()
    assert side.store.list() == []
    side.store.prune()
    assert [path.name for path in side.paths.layers.iterdir() if path.name != ".empty"] == []
