from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .repository import Repository


@pytest.fixture
def repository() -> Iterator[Repository]:
    """A bare repository that the unprivileged account owns, where that account can reach it."""
    root = Path(tempfile.mkdtemp(prefix="paas-source-", dir="/tmp"))
    root.chmod(0o755)
    try:
        yield Repository(root)
    finally:
        shutil.rmtree(root)
