"""Process types: what a Procfile declares, and how many instances of each run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from paas.errors import InvalidInput
from paas.model import WEB, Process
from paas.names import ProcessType, shown
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database

RELEASE = ProcessType("release")
MAXIMUM = 100
_LINE = re.compile(r"([A-Za-z0-9_-]+)\s*:\s*(.+)")


def parse_procfile(text: str) -> dict[ProcessType, tuple[str, ...]]:
    """`name: command` lines to commands run by a shell. Blank lines and lines beginning with # or // are skipped."""
    found: dict[ProcessType, tuple[str, ...]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith(("#", "//")):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise InvalidInput(f"Procfile:{number}: {shown(line)} is not of the form 'name: command'")
        kind = ProcessType(match[1])
        if kind in found:
            raise InvalidInput(f"Procfile:{number}: {kind} is declared twice")
        found[kind] = ("/bin/sh", "-c", match[2])
    return found


def parse_scale(words: Iterable[str]) -> dict[ProcessType, int]:
    """`web=2 worker=1` to counts."""
    counts: dict[ProcessType, int] = {}
    for word in words:
        kind, equals, count = word.partition("=")
        if not equals or not count.isascii() or not count.isdigit() or int(count) > MAXIMUM:
            raise InvalidInput(f"{shown(word)} is not of the form PROCESS=COUNT", hint=f"COUNT is 0 to {MAXIMUM}.")
        counts[ProcessType(kind)] = int(count)
    return counts


class Processes:
    def __init__(self, db: Database) -> None:
        self._db = db

    def scale(self, app: App) -> dict[ProcessType, int]:
        """What was asked for; web counts 1 and others 0 where nothing was."""
        return {WEB: 1, **apps.scale(self._db, app.id)}

    def set_scale(self, app: App, counts: Mapping[ProcessType, int]) -> None:
        apps.set_scale(self._db, app.id, counts)


def counts(scale: Mapping[ProcessType, int], formation: Mapping[ProcessType, int]) -> dict[ProcessType, int]:
    """How many instances are to run: what the repository says, if it says anything, else what was asked for."""
    return dict(formation or scale)


def of_release(
    counts: Mapping[ProcessType, int], procfile: Mapping[ProcessType, tuple[str, ...] | None]
) -> tuple[Process, ...]:
    """The processes of a release. An image without a Procfile has one type, web, with the image's own command."""
    kinds = [kind for kind in procfile if kind != RELEASE] or [WEB]
    return tuple(Process(kind, counts.get(kind, 0), procfile.get(kind)) for kind in kinds)
