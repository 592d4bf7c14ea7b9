from __future__ import annotations

import pytest

from paas.errors import Conflict
from paas.model import NULL_COMMIT, RefUpdate
from paas.source.updates import decide

OLD, NEW = "a" * 40, "b" * 40


def _to(ref: str, new: str = NEW) -> RefUpdate:
    return RefUpdate(OLD, new, ref)


@pytest.mark.parametrize("branch", ["master", "main"])
def test_the_usual_branches_deploy(branch: str) -> None:
    update = _to(f"refs/heads/{branch}")
    decision = decide([update], None)
    assert (decision.deploy, decision.notes) == (update, ())


def test_a_chosen_branch_is_the_only_one_that_deploys() -> None:
    update = _to("refs/heads/team/production")
    assert decide([update], "team/production").deploy == update
    decision = decide([_to("refs/heads/master")], "team/production")
    assert decision.deploy is None
    assert "git push paas master:team/production" in decision.notes[0]


def test_tags_and_deleted_branches_are_kept_in_silence() -> None:
    decision = decide([_to("refs/tags/master"), _to("refs/heads/old", NULL_COMMIT)], None)
    assert (decision.deploy, decision.notes) == (None, ())


def test_other_branches_are_stored_with_a_note() -> None:
    deploying = _to("refs/heads/master")
    decision = decide([_to("refs/heads/feature"), deploying], None)
    assert decision.deploy == deploying
    assert len(decision.notes) == 1 and "feature" in decision.notes[0]


def test_the_deploying_branch_cannot_be_deleted() -> None:
    with pytest.raises(Conflict) as refused:
        decide([_to("refs/heads/master", NULL_COMMIT)], None)
    assert refused.value.hint


def test_two_branches_that_deploy_are_refused() -> None:
    with pytest.raises(Conflict):
        decide([_to("refs/heads/master"), _to("refs/heads/main")], None)


def test_nothing() -> None:
    assert decide([], None).deploy is None
