"""A plan: numbered steps, each of which can tell whether it is done already, and can be done again after it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from paas.errors import PaasError
from paas.output import Output


@dataclass(frozen=True, slots=True)
class Step:
    """`is_done` looks and changes nothing; `do` raises PaasError and may be called again afterwards."""

    title: str
    is_done: Callable[[], bool]
    do: Callable[[], None]
    details: tuple[str, ...] = ()
    """What will be done, for who reads the plan."""


def always() -> bool:
    return False


def show(out: Output, steps: Sequence[Step]) -> int:
    """Print what would be done; returns how many steps are left to do."""
    left = 0
    for number, step in enumerate(steps, 1):
        done = step.is_done()
        left += not done
        out.line(f"{number:3}. {step.title}" + (" (already)" if done else ""))
        if not done:
            for detail in step.details:
                out.line(f"       {detail}")
    return left


def perform(out: Output, steps: Sequence[Step]) -> None:
    """Do them in turn. Raises PaasError at the first that fails: a second run goes on there."""
    for number, step in enumerate(steps, 1):
        if step.is_done():
            out.line(f"{number:3}. {step.title}: already")
            continue
        try:
            step.do()
        except PaasError as error:
            out.line(f"{number:3}. {step.title}: failed")
            hint = " ".join(filter(None, [error.hint, "Run the same command again to go on from here."]))
            raise type(error)(error.message, hint=hint) from error
        except OSError as error:
            out.line(f"{number:3}. {step.title}: failed")
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise PaasError(what, hint="Run the same command again to go on from here.") from error
        out.line(f"{number:3}. {step.title}: done")
