from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.image.store import ImageStore
from paas.paths import Paths
from paas.state.database import Database


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(tmp_path / "data", tmp_path / "run")
    paths.data.mkdir()
    return paths


@pytest.fixture
def db(paths: Paths) -> Iterator[Database]:
    db = Database(paths.database)
    yield db
    db.close()


@pytest.fixture
def store(db: Database, paths: Paths) -> ImageStore:
    return ImageStore(db, paths)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty directory that stands for the root of an image; beside it lies what must stay untouched."""
    (tmp_path / "outside").write_text("untouched")
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def root_fd(root: Path) -> Iterator[int]:
    opened = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)
