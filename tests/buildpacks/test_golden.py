"""`golden/CASE/tree` is recognised, and rendered as `golden/CASE/Dockerfile`; PAAS_WRITE_GOLDEN=1 writes those anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.buildpacks import planning
from paas.deploy import packing, repository
from paas.output import Discard
from paas.source.directory import DirectoryTree

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(case.name for case in GOLDEN.iterdir())


def rendered(directory: Path) -> str:
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with DirectoryTree(opened) as tree:
        said = repository.read(tree, "app.json", "Procfile", Discard())
        return planning.plan(tree, packing.asked_by(tree, said)).dockerfile


@pytest.mark.parametrize("case", CASES)
def test_a_tree_becomes_this_dockerfile(case: str) -> None:
    expected = GOLDEN / case / "Dockerfile"
    text = rendered(GOLDEN / case / "tree")
    if os.environ.get("PAAS_WRITE_GOLDEN"):
        expected.write_text(text)
    assert text == expected.read_text()
