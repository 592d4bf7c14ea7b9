"""What counts as lost, by itself."""

from __future__ import annotations

import pytest

from tests.traffic.ledger import Account, Change, accounts, verdict

CHANGES = [Change("deploy", 100, 102), Change("kill", 200, 204), Change("scale up", 300, 301)]


@pytest.mark.parametrize(
    ("when", "limit", "found"),
    [
        (101, 45, "lost"),  # what its instance had open when it was led past
        (130, 45, "lost"),  # cut too early
        (146, 45, "limit"),
        (146, None, "lost"),  # what does not last so long
        (199, 45, "lost"),
        (201, None, "killed"),
        (230, None, "lost"),
        (345, 45, "lost"),  # nobody was retired
    ],
)
def test_a_request_without_an_answer(when: float, limit: float | None, found: str) -> None:
    assert verdict(when, CHANGES, limit) == found


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a-1", "b-1", "term 0", "term 2"], ""),
        (["b-1"], "1 not noted"),
        (["a-1", "a-1"], "1 noted twice"),
        (["a-1", "c-1", "late"], "1 never sent, 1 after SIGTERM"),
        (["a-1", "term 3"], "1 in work at SIGTERM"),
    ],
)
def test_what_does_not_add_up(lines: list[str], said: str) -> None:
    assert accounts(lines, Account(posted=["a-1"]), Account(unsure=["b-1"]), cut=2) == said
