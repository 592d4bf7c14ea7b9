"""The same Dockerfiles built by us and by buildah: what comes out is the same, but for the times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from tests.differential.base import base_root
from tests.differential.case import BASE, Case, cases
from tests.differential.ours import Ours
from tests.differential.seen import judge
from tests.differential.theirs import Theirs
from tests.harness.peers import Peers


class Pair:
    """Both builders, with the same base image. Peers, each with a store of its own, work ahead of the tests."""

    def __init__(self, ours: Ours, peers: Sequence[Peers], cases: Sequence[Case]) -> None:
        self._ours = ours
        self._idle = SimpleQueue[Theirs]()
        base = ours.add(base_root(), BASE)
        for peer in peers:
            theirs = Theirs(peer)
            theirs.load(base)
            self._idle.put(theirs)
        self._ahead = ThreadPoolExecutor(len(peers))
        self._there = {id(case): self._ahead.submit(self._build_there, case) for case in cases}

    def build(self, case: Case) -> tuple[dict[str, str], dict[str, str]]:
        """(what came out here, what came out there)."""
        return self._ours.build(case), self._there[id(case)].result()

    def close(self) -> None:
        self._ahead.shutdown(cancel_futures=True)

    def _build_there(self, case: Case) -> dict[str, str]:
        theirs = self._idle.get()
        try:
            return theirs.build(case)
        finally:
            self._idle.put(theirs)


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Builds, there, the cases that are to run."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    found = [item.callspec.params.get("case") for item in items]
    wanted = [case for case in found if isinstance(case, Case)]
    with Ours() as ours, Peers() as one, Peers() as other:
        made = Pair(ours, (one, other), wanted)
        try:
            yield made
        finally:
            made.close()


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
def test_the_same_comes_out(case: Case, pair: Pair) -> None:
    here, there = pair.build(case)
    found = judge(case.fails, case.instead, here, there)
    assert not found, "\n".join(found)


def test_there_are_enough_of_them() -> None:
    assert len(cases()) >= 150
