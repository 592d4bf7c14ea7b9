"""Checks and repairs while no engine runs: it may be unable to, because of what is damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from paas.apps.certs import Certs
from paas.apps.lifecycle import Apps
from paas.engine.lock import only_one
from paas.errors import Damaged, PaasError, SystemFailure, UsageError
from paas.image.store import ImageStore
from paas.integrity import rows
from paas.integrity.check import Integrity
from paas.integrity.finding import Asked, Finding
from paas.integrity.report import report
from paas.integrity.set_aside import set_aside_unknown
from paas.integrity.stored_files import Files
from paas.integrity.stored_images import Images
from paas.output import StreamOutput
from paas.paths import Paths
from paas.registry.registries import Registries
from paas.settings import Settings
from paas.state.backups import Backups
from paas.state.database import Database
from paas.state.migrations import MIGRATIONS


def main(command: str, words: Sequence[str], settings: Settings) -> int:
    """`system:check [--repair] [--format json]`, `system:restore NUMBER`; returns the exit status."""
    if os.geteuid() != 0:
        raise SystemFailure("The data can be read by root alone", hint=f"sudo paas {command}")
    out = StreamOutput(1, 2)
    with _alone(Paths(settings.data_dir, settings.run_dir)) as paths:
        if command == "system:restore":
            return _restore(paths, words, out)
        return _check(paths, settings, words, out)


@contextmanager
def _alone(paths: Paths) -> Iterator[Paths]:
    if not paths.database.exists():
        raise SystemFailure(f"There is no database {paths.database}", hint="PAAS_DATA_DIR says where data lies.")
    paths.run.mkdir(parents=True, exist_ok=True)
    descriptor = only_one(paths.run)
    try:
        yield paths
    finally:
        os.close(descriptor)


def _check(paths: Paths, settings: Settings, words: Sequence[str], out: StreamOutput) -> int:
    left = [word for word in words if word not in ("--repair", "--quiet")]
    json = left in (["--format", "json"], ["--format=json"])
    if left and not json:
        raise UsageError(f"{left[0]} is not understood", hint="paas system:check [--repair] [--format json]")
    return report(_findings(paths, settings, Asked("--repair" in words)), out, json=json)


def _findings(paths: Paths, settings: Settings, asked: Asked) -> Iterator[Finding]:
    with ExitStack() as undo:
        try:
            db = Database(paths.database, Backups(paths.backups))
        except Damaged as error:
            found = list(rows.damage_of(paths.database))
            yield from found or [Finding("database", paths.database.name, error.message, error.hint or "")]
            return
        except PaasError as error:
            yield Finding("database", paths.database.name, error.message, error.hint or "")
            return
        undo.callback(db.close)
        store = ImageStore(db, paths)
        images = Images(db, store, Registries(settings, paths, store))
        apps = Apps(db, paths, settings.user)
        yield from Integrity(db, images, Files(paths, apps, Certs(db, paths), settings.user)).check(asked)


def _restore(paths: Paths, words: Sequence[str], out: StreamOutput) -> int:
    if len(words) != 1:
        raise UsageError("Which backup is missing", hint="paas system:restore NUMBER")
    backups = Backups(paths.backups)
    backup = backups.find(words[0])
    former = backups.restore(backup, paths.database, len(MIGRATIONS))
    out.heading(f"The database is as it was at {backup.made}")
    if former is not None:
        out.detail(f"What it was before lies in {former}")
    db = Database(paths.database, backups)
    try:
        for place in set_aside_unknown(db, paths):
            out.detail(f"Newer than this database, and set aside: {place}")
    finally:
        db.close()
    out.detail("Start the engine: systemctl start paas. Apps whose releases are gone from it: push again")
    return 0
