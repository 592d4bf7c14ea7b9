"""The steps of `paas upgrade`, and the way back."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from paas.errors import Conflict, PaasError, SystemFailure
from paas.output import Output
from paas.paths import Paths
from paas.settings import Settings
from paas.setup.health import schema_of, serving, wait_until_it_answers, wait_until_they_serve
from paas.setup.host import UNIT, Host
from paas.setup.install import write_unit
from paas.setup.steps import Step, always, perform
from paas.setup.versions import Source, Versions
from paas.system.files import ensure_directory, remove_tree, write_atomic

_SCHEMA = "from paas.state.migrations import MIGRATIONS; print(len(MIGRATIONS))"
_UNIT = "from paas.setup.unit import UNIT_TEXT; print(UNIT_TEXT, end='')"
_BACKUPS = 5


class Upgrade:
    """From the version in use to another. Raises Conflict where there is none in use.

    `patience`: seconds that an engine has to answer, and apps have to serve again.
    """

    def __init__(self, host: Host, settings: Settings, source: Source, *, patience: float = 120.0) -> None:
        self._patience = patience
        self._host = host
        self._settings = settings
        self._source = source
        self._versions = Versions(host)
        current = self._versions.current
        if current is None:
            raise Conflict("No version is installed here", hint="paas setup installs one.")
        self.before = current
        self._database = host.path(Paths(settings.data_dir, settings.run_dir).database)
        self._backup: Path | None = None
        self._unit = host.text(UNIT)

    def preparing(self) -> list[Step]:
        """What touches nothing that runs."""
        new = self._source.version
        return [
            Step(
                f"Install version {new} beside {self.before}",
                lambda: self._versions.is_installed(new),
                lambda: self._versions.install(self._source),
                (f"from {self._source.origin}",),
            ),
            Step("Compare the schema of the database with what the new version knows", always, self._compare),
            Step(f"Back the database up into {self._settings.data_dir}/upgrades", always, self._back_up),
        ]

    def switching(self) -> list[Step]:
        """What is undone when one of them fails."""
        new = self._source.version
        return [
            Step(f"Let current point at {new}", lambda: self._versions.current == new, self._switch),
            restarting(self._host, self._patience),
        ]

    def run(self, out: Output) -> None:
        """All of it. Raises PaasError, after the old version runs again, when the new one does not do."""
        perform(out, self.preparing())
        self.switch_or_go_back(out)
        for gone in self._versions.prune(self.before):
            out.detail(f"removed the old version {gone}")

    def switch_or_go_back(self, out: Output) -> None:
        """The part of it that what runs may notice. Raises SystemFailure, likewise."""
        served = serving(self._host, self._settings)
        try:
            perform(out, self.switching())
            wait_until_they_serve(served, self._settings, self._patience)
        except (PaasError, KeyboardInterrupt) as error:
            why = error.message if isinstance(error, PaasError) else "It was interrupted"
            out.warn(f"{why}: going back to {self.before}")
            self._go_back()
            raise SystemFailure(
                f"Version {self._source.version} was given up; {self.before} runs again",
                hint="Why: journalctl -u paas -n 100",
            ) from None
        out.result(f"{len(served)} app(s) serve as before; version {self._source.version} runs")

    def _compare(self) -> None:
        have = schema(self._database)
        knows = schema_of(self._versions.ask(self._source.version, _SCHEMA))
        if have > knows:
            raise Conflict(
                f"The database has schema {have}; version {self._source.version} knows {knows} at most",
                hint=f"Restore a backup of that version from {self._settings.data_dir}/upgrades first.",
            )

    def _back_up(self) -> None:
        if not self._database.exists():
            return
        directory = ensure_directory(self._database.parent / "upgrades", mode=0o700)
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        self._backup = directory / f"{moment}-schema{schema(self._database)}-{self.before}.db"
        copy_database(self._database, self._backup)
        for old in sorted(directory.glob("*.db"))[:-_BACKUPS]:
            old.unlink()

    def _switch(self) -> None:
        self._versions.use(self._source.version)
        wanted = self._versions.ask(self._source.version, _UNIT) + "\n"
        if wanted != self._unit:
            write_unit(self._host, wanted)

    def _go_back(self) -> None:
        self._host.run(["systemctl", "stop", "paas"], check=False, timeout=120)
        if self._backup is not None and self._is_changed(self._backup):
            restore_database(self._backup, self._database)
        self._versions.use(self.before)
        if self._unit is not None and self._unit != self._host.text(UNIT):
            write_unit(self._host, self._unit)
        restarting(self._host, self._patience).do()

    def _is_changed(self, backup: Path) -> bool:
        """Whether the old version could not use the database any more."""
        try:
            return schema(backup) != schema(self._database)
        except SystemFailure:  # it cannot be read at all: one more reason
            return True


def running(host: Host, version: str) -> bool:
    """Whether the engine that runs is of this version; an engine that does not run is of none."""
    pid = host.run(["systemctl", "show", "--property=MainPID", "--value", "paas"], check=False).text.strip()
    return f"/{version}/" in (host.text(f"/proc/{pid}/cmdline") or "")


def restarting(host: Host, patience: float = 120.0) -> Step:
    def restart() -> None:
        done = host.run(["systemctl", "restart", "paas"], check=False, timeout=700)
        if done.status != 0:
            raise SystemFailure("The engine does not start", hint="Its words: journalctl -u paas -n 50.")
        wait_until_it_answers(host, patience)

    return Step("Restart the engine; containers and nginx go on", always, restart)


def schema(database: Path) -> int:
    """The number of migrations a database has had; 0 when there is none. Raises SystemFailure."""
    if not database.exists():
        return 0
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=30)
        try:
            (number,) = connection.execute("PRAGMA user_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise SystemFailure(f"{database} cannot be read: {error}") from error
    return int(number)


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy while others write, for root alone; with a name of its own until it is whole."""
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    try:
        with sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=30) as reader:
            writer = sqlite3.connect(new)
            reader.backup(writer)
            writer.execute("PRAGMA journal_mode = DELETE")  # one file, also when it is looked into
            writer.close()
        reader.close()
        new.rename(target)
    except sqlite3.Error as error:
        new.unlink(missing_ok=True)
        raise SystemFailure(f"The database cannot be backed up: {error}") from error


def restore_database(backup: Path, database: Path) -> None:
    """Put a copy back while no engine runs. What the log of the other held goes with it."""
    data = backup.read_bytes()
    for suffix in ("-wal", "-shm"):
        remove_tree(database.with_name(database.name + suffix))
    write_atomic(database, data, mode=0o600)
