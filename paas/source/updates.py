"""What a push asks for: which ref deploys, which are only kept, which are refused. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.errors import Conflict
from paas.model import NULL_COMMIT, RefUpdate

DEFAULT_BRANCHES = ("master", "main")


@dataclass(frozen=True, slots=True)
class Decision:
    """`deploy` is the update to deploy, if any; `notes` are told to the pusher."""

    deploy: RefUpdate | None
    notes: tuple[str, ...]


def decide(updates: Sequence[RefUpdate], deploy_branch: str | None) -> Decision:
    """`deploy_branch` None stands for main and master. Raises Conflict for what is refused: the whole push is then."""
    branches = (deploy_branch,) if deploy_branch else DEFAULT_BRANCHES
    deploying = [
        update for update in updates if update.ref.removeprefix("refs/heads/") in branches and _is_branch(update)
    ]
    for update in deploying:
        if update.new == NULL_COMMIT:
            name = update.ref.removeprefix("refs/heads/")
            raise Conflict(
                f"The branch {name} deploys this app and cannot be deleted",
                hint="To remove the app: apps:destroy. To deploy another branch: git:set APP deploy-branch BRANCH.",
            )
    if len(deploying) > 1:
        names = " and ".join(update.ref.removeprefix("refs/heads/") for update in deploying)
        raise Conflict(
            f"{names} both deploy this app", hint="Push one of them, or set one: git:set APP deploy-branch BRANCH"
        )
    notes = tuple(
        f"{update.ref} is stored and not deployed; {' or '.join(branches)} deploys this app."
        f" To deploy it: git push paas {update.ref.removeprefix('refs/heads/')}:{branches[0]}"
        for update in updates
        if update not in deploying and _is_branch(update) and update.new != NULL_COMMIT
    )
    return Decision(deploying[0] if deploying else None, notes)


def _is_branch(update: RefUpdate) -> bool:
    return update.ref.startswith("refs/heads/")
