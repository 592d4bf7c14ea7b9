"""The certificates of apps: files that only root reads, and a row that says which of them holds.

A pair of files is written into a directory of its own, named by its content, before the row names it; so certificate
and key always belong together, whatever happens in between.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from paas.apps.edge import Rows
from paas.errors import NotFound, SystemFailure
from paas.faults import reached
from paas.paths import Paths
from paas.proxy import certificates
from paas.proxy.certificates import Certificate
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database
from paas.system.files import ensure_directory, remove_tree, sync_directory, write_atomic

CURRENT = "certs:current"
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Stored:
    """`directory` holds `server.crt` and `server.key`; `hostnames` are those the certificate is for."""

    directory: Path
    hostnames: tuple[str, ...]

    def covers(self, hostname: str) -> bool:
        return hostname in self.hostnames or f"*.{hostname.partition('.')[2]}" in self.hostnames


class Certs:
    def __init__(self, db: Database, paths: Paths) -> None:
        self._db = db
        self._root = paths.certificates

    def current(self, app: App) -> Stored | None:
        text = apps.property(self._db, app.id, CURRENT)
        if text is None:
            return None
        row = json.loads(text)
        return Stored(self._root / str(app.id) / str(row["directory"]), tuple(row["hostnames"]))

    def load(self, app: App) -> Certificate:
        """Raises NotFound when there is none, InvalidInput when its files have been damaged."""
        stored = self.current(app)
        if stored is None:
            raise NotFound(f"{app.name} has no certificate", hint=f"certs:add {app.name} CRT KEY adds one.")
        try:
            return certificates.read(*((stored.directory / f"server.{end}").read_text() for end in ("crt", "key")))
        except OSError as error:
            raise NotFound(f"The certificate of {app.name} cannot be read: {error.strerror}") from None

    def write(self, app: App, made: Certificate) -> Rows:
        """Write the files, and return the row with which they come to hold."""
        name = hashlib.sha256((made.chain + made.key).encode()).hexdigest()[:16]
        try:
            ensure_directory(self._root, mode=0o700)
            top = ensure_directory(self._root / str(app.id), mode=0o700)
            directory = ensure_directory(top / name, mode=0o700)
            write_atomic(directory / "server.crt", made.chain, mode=_MODE)
            write_atomic(directory / "server.key", made.key, mode=_MODE)
            sync_directory(top)
            sync_directory(self._root)
            reached("certs:written")
        except OSError as error:
            raise SystemFailure(f"The certificate cannot be written: {error.strerror}") from error
        return {CURRENT: json.dumps({"directory": name, "hostnames": made.hostnames})}

    def sweep(self, app: App) -> None:
        """Remove all files of an app but those that hold."""
        stored = self.current(app)
        for directory in (self._root / str(app.id)).glob("*"):
            if stored is None or directory != stored.directory:
                remove_tree(directory)

    def recover(self) -> None:
        """Remove what an engine that was killed left behind."""
        known = {str(app.id): app for app in apps.listing(self._db)}
        for directory in self._root.glob("*"):
            if directory.name in known:
                self.sweep(known[directory.name])
            else:
                remove_tree(directory)
