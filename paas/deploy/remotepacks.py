"""Buildpacks from git repositories: fetched once for an app and kept, so that a commit is always built the same way."""

from __future__ import annotations

import hashlib
import json
import re
import threading

from paas.apps import buildpacks
from paas.apps.lifecycle import Apps
from paas.buildpacks import pack as packs
from paas.buildpacks.pack import Pack
from paas.deploy.held import Request
from paas.errors import Conflict
from paas.model import Source
from paas.paths import Paths
from paas.source import receiving, remotes
from paas.source.tree import GitTree
from paas.source.workspace import Place, Workspaces
from paas.state.apps import App
from paas.state.database import Database
from paas.system.files import ensure_directory, write_private

_LIMIT = 64 << 20
"""Bytes of what is fetched."""


class RemotePacks:
    def __init__(self, db: Database, paths: Paths, apps: Apps, workspaces: Workspaces, user: str) -> None:
        self._db = db
        self._directory = paths.data / "buildpacks"
        self._apps = apps
        self._workspaces = workspaces
        self._user = user
        self._keeping = threading.Lock()
        """Held while a file is there that no row names yet, and while such are removed."""

    def pack(self, app: App, address: str, request: Request | None) -> Pack:
        """The pack as it was fetched; without a `request` it is not fetched now. Raises Conflict, NotFound."""
        known = buildpacks.fetched(self._db, app).get(address)
        found = self._kept(known[1]) if known else None
        if found is None:
            if request is None:
                raise Conflict(
                    f"The buildpack {address} has not been fetched yet", hint="The next push or ps:rebuild fetches it."
                )
            return self._fetch(app, address, request)
        return found

    def _kept(self, digest: str) -> Pack | None:
        """None where what was kept is gone, or is not what was written."""
        try:
            text = (self._directory / f"{digest}.json").read_bytes()
        except OSError:
            return None
        if hashlib.sha256(text).hexdigest() != digest:
            return None
        value = json.loads(text)
        return packs.parse(value["manifest"].encode(), value["file"], value["name"], value["templates"])

    def _fetch(self, app: App, address: str, request: Request) -> Pack:
        where, _, ref = address.partition("#")
        remote = remotes.parse_remote(where)
        request.out.heading(f"Fetching the buildpack {remote.address}")
        place = Place(request.who.admin, request.cancelled, {}, _LIMIT)
        with self._workspaces.open(self._apps.repo(app), place) as workspace:
            with receiving.explained(remote, request.who.admin):
                _, commit = receiving.fetch(workspace, remote, ref or None, request.out.detail)
            with GitTree(Source(app.name, workspace.repo, commit), self._user) as tree:
                pack = packs.read(tree, "", name_of(where), trusted=False, shown_as=name_of(where))
        text = json.dumps(
            {
                "name": pack.name,
                "file": pack.file,
                "manifest": pack.manifest.decode(),
                "templates": dict(pack.templates),
            },
            sort_keys=True,
        )
        digest = hashlib.sha256(text.encode()).hexdigest()
        ensure_directory(self._directory, mode=0o700)
        with self._keeping:
            write_private(self._directory / f"{digest}.json", text)
            buildpacks.set_fetched(self._db, app, address, commit, digest)
        request.out.detail(f"It is at commit {commit[:12]}, and stays there; buildpacks:set fetches it anew")
        return pack

    def prune(self) -> int:
        """Remove what no app uses any more; returns how many bytes that were."""
        if not self._directory.is_dir():
            return 0
        freed = 0
        with self._keeping:
            used = {digest for app in self._apps.list() for _, digest in buildpacks.fetched(self._db, app).values()}
            for file in self._directory.iterdir():
                if file.stem not in used:
                    freed += file.stat().st_size
                    file.unlink()
        return freed


def name_of(address: str) -> str:
    """What a pack is called by its address: the last part, in the letters that names have."""
    last = address.rstrip("/").rpartition("/")[2].removesuffix(".git").lower()
    name = re.sub(r"[^a-z0-9]+", "-", last.removeprefix("buildpack-")).strip("-")[:31].strip("-")
    return name if name[:1].isalpha() else f"pack-{name}"[:31].strip("-")
