"""The same Dockerfiles built by us and by buildah: what comes out is the same, but for the times."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.differential import ours as our_side
from tests.differential.base import base_root
from tests.differential.case import Case, cases
from tests.differential.ours import Ours
from tests.differential.seen import judge
from tests.differential.theirs import Theirs
from tests.harness.peers import Peers

BASE, PARENT = "localhost/base:latest", "localhost/parent:latest"


class Pair:
    """Both builders, with the same base image."""

    def __init__(self, ours: Ours, theirs: Theirs) -> None:
        self._ours = ours
        self._theirs = theirs
        self._beside = ThreadPoolExecutor(1)
        theirs.load(ours.add(base_root(), BASE))

    def build(self, case: Case, directory: Path) -> tuple[dict[str, str], dict[str, str]]:
        """(what came out here, what came out there)."""
        if case.parent is not None:
            self._build(case, case.parent, directory / "parent", PARENT)
        return self._build(case, case.dockerfile, directory / "context")

    def _build(
        self, case: Case, dockerfile: str, context: Path, tag: str = ""
    ) -> tuple[dict[str, str], dict[str, str]]:
        context.mkdir()
        case.write(context, dockerfile)
        there = self._beside.submit(self._theirs.build, case, context, tag)
        try:
            here = self._ours.build(case, context, tag)
        finally:
            there.exception()  # its end, whatever happens here
        return here, there.result()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with Ours() as ours, Peers() as peers:
        yield Pair(ours, Theirs(peers))


def _parameters() -> list[object]:
    return [
        pytest.param(
            case,
            id=f"{case.theme}-{case.name}",
            marks=[pytest.mark.xfail(strict=True, reason=case.bug)] if case.bug else [],
        )
        for case in cases()
    ]


@pytest.mark.parametrize("case", _parameters())
def test_the_same_comes_out(case: Case, pair: Pair, tmp_path: Path) -> None:
    if not case.is_for_git and not our_side.TAKES_DIRECTORIES:
        pytest.skip("a git tree cannot hold this context")
    if case.target and not our_side.TAKES_TARGETS:
        pytest.skip("there is no way yet to name the stage to build")
    here, there = pair.build(case, tmp_path)
    found = judge(case.fails, case.instead, here, there)
    assert not found, "\n".join(found)


def test_there_are_enough_of_them() -> None:
    assert len(cases()) >= 150
