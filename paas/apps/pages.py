"""Maintenance pages of apps: HTML, or a tar with `maintenance.html` and what belongs to it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from paas.apps.edge import PAGE, Rows
from paas.errors import InvalidInput
from paas.faults import reached
from paas.names import shown
from paas.paths import Paths
from paas.state import apps
from paas.state.apps import App
from paas.state.database import Database
from paas.system.files import ensure_directory, remove_tree, write_atomic

SIZE_LIMIT = 10 << 20
"""Bytes of a page with all that belongs to it."""
_FILES_LIMIT = 200
_PAGE = "maintenance.html"


def read(data: bytes) -> dict[str, bytes]:
    """File names -> content, from HTML or a tar (gzip too). Raises InvalidInput."""
    if data[257:262] == b"ustar" or data[:2] == b"\x1f\x8b":
        return _from_tar(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if "<" not in text or "\0" in text:
        raise InvalidInput("This is neither HTML nor a tar archive", hint=f"The tar has to contain {_PAGE}.")
    return {_PAGE: data}


def _from_tar(data: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as tar:
            while (entry := tar.next()) is not None:
                if entry.isdir():
                    continue
                name = PurePosixPath(entry.name)
                total += entry.size
                fine = entry.isreg() and not name.is_absolute() and ".." not in name.parts and "\0" not in entry.name
                if not fine or len(entry.name) > 200 or any(len(part) > 100 for part in name.parts):
                    raise InvalidInput(f"The archive holds {shown(entry.name)}, which is not a plain file below it")
                if total > SIZE_LIMIT or len(found) >= _FILES_LIMIT:
                    raise InvalidInput(f"The archive has more than {SIZE_LIMIT >> 20} MiB or {_FILES_LIMIT} files")
                content = tar.extractfile(entry)
                assert content is not None
                found[str(name)] = content.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        raise InvalidInput(f"The archive cannot be read: {shown(str(error))}") from None
    if _PAGE not in found:
        raise InvalidInput(f"The archive has no {_PAGE}", hint=f"tar -c {_PAGE} ... | paas maintenance:custom-page APP")
    return found


class Pages:
    def __init__(self, db: Database, paths: Paths) -> None:
        self._db = db
        self._root = paths.maintenance

    def write(self, app: App, files: dict[str, bytes]) -> Rows:
        """Write the page, and return the row with which it comes to hold."""
        whole = hashlib.sha256()
        for name, data in sorted(files.items()):
            whole.update(f"{name}\0{len(data)}\0".encode("utf-8", "surrogateescape") + data)
        directory = self._of(app) / whole.hexdigest()[:16]
        try:
            for name, data in files.items():
                ensure_directory((directory / name).parent)
                write_atomic(directory / name, data)
            reached("page:written")
        except OSError as error:  # a file and a directory of one name, for instance
            remove_tree(directory)
            raise InvalidInput(f"The page cannot be written: {error.strerror}") from None
        return {PAGE: directory.name}

    def sweep(self, app: App) -> None:
        """Remove all pages of an app but the one that holds."""
        current = apps.property(self._db, app.id, PAGE)
        for directory in self._of(app).glob("*"):
            if directory.name != current:
                remove_tree(directory)

    def _of(self, app: App) -> Path:
        return self._root / str(app.id)
