"""What a check has found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` and `name` say what is damaged; `repaired` what was done about it, `advice` what is left to do."""

    kind: str
    name: str
    problem: str
    advice: str = ""
    repaired: str = ""

    @property
    def is_open(self) -> bool:
        return not self.repaired


@dataclass(frozen=True, slots=True)
class Asked:
    """How a check is to go about it."""

    repair: bool
    cancelled: Callable[[], bool] = lambda: False
