"""All checks, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from paas.integrity import rows
from paas.integrity.derived import Derived
from paas.integrity.finding import Asked, Finding
from paas.integrity.stored_files import Files
from paas.integrity.stored_images import Images
from paas.state.database import Database


class Integrity:
    def __init__(self, db: Database, images: Images, files: Files, derived: Derived | None = None) -> None:
        """`derived` is there while an engine runs: without one, nothing is to be derived yet."""
        self._db = db
        self._images = images
        self._files = files
        self._derived = derived

    def check(self, asked: Asked) -> Iterator[Finding]:
        """What is damaged, as it is found. Raises Cancelled."""
        yield from rows.check(self._db, asked)
        yield from self._images.check(asked)
        yield from self._files.check(asked)
        if self._derived is not None:
            yield from self._derived.check(asked)
