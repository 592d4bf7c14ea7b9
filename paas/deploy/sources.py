"""Sources other than a push: a repository elsewhere, an archive, an image. Each becomes a commit of the app's own
repository, so that its release can be rebuilt, compared and cloned as any other."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import IO, Literal

from paas.apps.build_settings import SOURCE_IMAGE, BuildSettings
from paas.apps.lifecycle import Apps
from paas.apps.properties import Properties
from paas.deploy.builds import Builds
from paas.deploy.held import AppLocks, Request
from paas.deploy.pipeline import FETCHED, Pipeline
from paas.deploy.repositories import Repositories
from paas.errors import InvalidInput
from paas.image import reference
from paas.image.lease import Lease
from paas.image.store import ImageStore
from paas.model import Image, Source
from paas.paths import Paths
from paas.registry.archives import ImageFiles
from paas.registry.bases import RegistryImages
from paas.registry.transport import Unreachable
from paas.runtime.rootfs import mounted_plain
from paas.settings import Settings
from paas.source import receiving, remotes, repos
from paas.source.archives import Kind, read_archive
from paas.source.commits import Author, Committer
from paas.source.workspace import Place, Workspace, Workspaces
from paas.state import apps as app_rows
from paas.state import people, releases
from paas.state.apps import App
from paas.state.database import Database
from paas.system.inroot import read_in_root

Build = Literal["never", "changed", "always"]

_FROM_WORKDIR = {"Procfile": 64 << 10, "app.json": 1 << 20}
"""What of an image's working directory goes into its commit, and the bytes each may have."""


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A commit in a workspace, and what becomes of it."""

    commit: str
    branch: str
    why: str
    note: Callable[[App], None]
    """Saves what else changes with it, in the transaction that makes it serve."""


class Sources:
    def __init__(
        self,
        settings: Settings,
        db: Database,
        paths: Paths,
        apps: Apps,
        properties: Properties,
        build_settings: BuildSettings,
        pipeline: Pipeline,
        builds: Builds,
        locks: AppLocks,
        workspaces: Workspaces,
        repositories: Repositories,
        images: ImageStore,
        bases: RegistryImages,
        image_files: ImageFiles,
    ) -> None:
        self._settings = settings
        self._db = db
        self._paths = paths
        self._apps = apps
        self._properties = properties
        self._build_settings = build_settings
        self._pipeline = pipeline
        self._builds = builds
        self._locks = locks
        self._workspaces = workspaces
        self._repositories = repositories
        self._images = images
        self._bases = bases
        self._image_files = image_files

    # -- a repository elsewhere -----------------------------------------------------------------------------------

    def sync(
        self, name: str, address: str, ref: str | None, request: Request, *, build: Build, keep_branch: bool
    ) -> None:
        """Fetch a branch, a tag or a commit; and deploy it, if it is to be built.

        A branch becomes the one that deploys, unless `keep_branch`.
        """
        app, out = self._apps.get(name), request.out
        remote = remotes.parse_remote(address, files=request.who.admin)
        wanted_ref = None if ref is None else remotes.branch(ref.removeprefix("refs/heads/").removeprefix("refs/tags/"))
        with (
            self._builds.fetch(app, request) as request,
            self._workspace(app, request, self._settings.push_limit) as workspace,
        ):
            out.heading(f"Fetching {remote.address}" + (f" {ref}" if ref else ""))
            with receiving.explained(remote, request.who.admin):
                wanted, commit = receiving.fetch(workspace, remote, wanted_ref, out.detail)
            branch = wanted.branch if wanted.branch and not keep_branch else self._branch(app)
            label = (wanted.branch or wanted.name.removeprefix("refs/tags/") or commit)[:60]
            out.detail(f"{label} is at commit {commit[:12]}")

            def note(app: App) -> None:
                app_rows.set_property(self._db, app.id, SOURCE_IMAGE, None)
                if wanted.branch and not keep_branch:
                    self._properties.set("git", "deploy-branch", branch, app)

            delivery = _Delivery(commit, branch, f"Sync {label} of {remote.address}", note)
            self._sync(app, workspace, delivery, build, request)

    def _sync(self, app: App, workspace: Workspace, delivery: _Delivery, build: Build, request: Request) -> None:
        with self._hold(app, request) as app:
            release = releases.current(self._db, app)
            deployed = release is not None and release.commit == delivery.commit
            if build == "always" or (build == "changed" and not deployed):
                self._deploy(app, workspace, delivery, request)
                return
            self._store(app, workspace, delivery, None if deployed else delivery.commit)
            people.record(self._db, request.who, app.name, "git:sync", f"{delivery.branch} {delivery.commit[:12]}")
            if deployed:
                request.out.heading(f"{app.name} runs this commit already; there is nothing to deploy")
            else:
                request.out.heading(f"Fetched; not deployed. To deploy it: ps:rebuild {app.name}")

    # -- images ---------------------------------------------------------------------------------------------------

    def from_image(
        self, name: str, image: str, author: Author, request: Request, *, context: int | None, force: bool
    ) -> bool:
        """Deploy an image, pulled where it is not here or has changed in its registry; False when that is what runs.

        `context` is a directory (a descriptor) whose files lie beside the Dockerfile, for ONBUILD.
        """
        app = self._apps.get(name)
        wanted = image if image.startswith("sha256:") else str(reference.parse(image))
        with self._builds.fetch(app, request) as request, self._images.lease() as lease:
            request.out.heading(f"Looking for {wanted}")
            found = self._image(app, wanted, lease, request)
            wanted = found.id if image.startswith("sha256:") else wanted  # as long as it can be: none may be added
            return self._deploy_image(app, wanted, found, author, request, context, force)

    def load_image(self, name: str, image: str, stream: IO[bytes], author: Author, request: Request) -> bool:
        """Load images from an archive and deploy one of them; False when that is what runs. Raises InvalidInput."""
        app = self._apps.get(name)
        wanted = str(reference.parse(image))
        with self._builds.fetch(app, request) as request:
            request.out.heading("Loading the image")
            loaded = self._image_files.load(stream, request.cancelled)
            for each, names in loaded:
                people.record(self._db, request.who, app.name, "load", " ".join([*names, each.short_id]))
            found = next((each for each, names in loaded if wanted in names), None)
            if found is None:
                there = ", ".join(name for _, names in loaded for name in names)
                raise InvalidInput(f"The archive has no image {wanted}", hint=f"It has: {there or 'no names'}")
            return self._deploy_image(app, wanted, found, author, request, None, False)

    def _image(self, app: App, wanted: str, lease: Lease, request: Request) -> Image:
        def find(refresh: bool) -> Image:
            return self._bases.find(
                wanted,
                lease=lease,
                say=request.out.detail,
                cancelled=request.cancelled,
                refresh=refresh,
                trusted=request.who.admin,
                allowed=self._build_settings.images(app),
            )

        try:
            return find(True)
        except Unreachable as error:
            found = find(False)
            request.out.warn(f"{error.message}; the image that is here is used")
            return found

    def _deploy_image(
        self,
        app: App,
        wanted: str,
        image: Image,
        author: Author,
        request: Request,
        context: int | None,
        force: bool,
    ) -> bool:
        limit = self._properties.value("git", "archive-max-size", app)
        with self._workspace(app, request, limit) as workspace, self._committer(app, workspace) as files:
            if context is not None:
                receiving.add_directory(files, context)
            for name, data in self._of_workdir(image).items():
                receiving.add(files, name, data)
            # The id is part of it, so that another image under the same name is another commit.
            receiving.add(files, "Dockerfile", f"# {image.id}\nFROM {wanted}\n".encode())
            parent = self._head(app)
            commit = files.commit(f"Image {wanted}\n", author, parent)

            def note(app: App) -> None:
                app_rows.set_property(self._db, app.id, SOURCE_IMAGE, wanted)

            delivery = _Delivery(commit, self._branch(app), f"Image {wanted}", note)
            return self._deploy_changed(app, workspace, delivery, request, force, image.id)

    def _of_workdir(self, image: Image) -> dict[str, bytes]:
        scratch = self._paths.run / "build" / secrets.token_hex(6)
        found = {}
        with mounted_plain(scratch, self._paths.layers, [layer.number for layer in image.layers], None) as path:
            root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                for name, limit in _FROM_WORKDIR.items():
                    data = read_in_root(root, f"{image.config.workdir or '/'}/{name}", limit + 1)
                    if data is not None and len(data) <= limit:
                        found[name] = data
            finally:
                os.close(root)
        return found

    # -- archives -------------------------------------------------------------------------------------------------

    def from_archive(
        self, name: str, address: str | None, input: int, kind: Kind | None, author: Author, request: Request
    ) -> bool:
        """Deploy the files of an archive, from an address or (None) from a descriptor; False when they run already."""
        app, out = self._apps.get(name), request.out
        remote = remotes.parse_archive_address(address) if address is not None else None
        most = self._properties.value("git", "archive-max-files", app)
        limit = self._properties.value("git", "archive-max-size", app)
        with self._builds.fetch(app, request) as request, self._workspace(app, request, limit) as workspace:
            file = workspace.file("archive")
            if remote is not None:
                out.heading(f"Fetching {remote.address}")
                with receiving.explained(remote, request.who.admin):
                    workspace.curl(remote, file, limit, out.detail)
            else:
                out.heading("Receiving the archive")
                receiving.receive(input, file, limit, workspace, out.detail)
            with self._committer(app, workspace) as files, file.open("rb") as stream:
                out.heading("Unpacking it")
                left_out = read_archive(stream, kind, most, files)
                if left_out:
                    out.warn(f"{left_out} entries are left out: .git, devices and the like have no place in a commit")
                what = remote.address if remote else "an archive"
                commit = files.commit(f"Files of {what}\n", author, self._head(app), unwrap=True)

            def note(app: App) -> None:
                app_rows.set_property(self._db, app.id, SOURCE_IMAGE, None)

            delivery = _Delivery(commit, self._branch(app), f"Archive {what}" if remote else "Archive", note)
            return self._deploy_changed(app, workspace, delivery, request, False)

    # -- shared ---------------------------------------------------------------------------------------------------

    def _workspace(self, app: App, request: Request, limit: int) -> AbstractContextManager[Workspace]:
        proxies = self._build_settings.proxies(app)
        place = Place(request.who.admin, request.cancelled, proxies, limit)
        return self._workspaces.open(self._apps.repo(app), place)

    def _committer(self, app: App, workspace: Workspace) -> Committer:
        value = self._properties.value
        return Committer(workspace, value("git", "archive-max-files", app), value("git", "archive-max-size", app))

    def _branch(self, app: App) -> str:
        """The branch that has what was deployed last, or will have it."""
        chosen = self._pipeline.deploy_branch(app)
        return chosen or repos.head_branch(self._apps.repo(app), self._settings.user) or "master"

    def _head(self, app: App) -> str | None:
        return repos.commit_of(self._apps.repo(app), f"refs/heads/{self._branch(app)}", self._settings.user)

    def _hold(self, app: App, request: Request) -> AbstractContextManager[App]:
        return self._locks.hold(app, f"a deploy of {app.name}", request)

    def _deploy_changed(
        self, app: App, workspace: Workspace, delivery: _Delivery, request: Request, force: bool, base: str = ""
    ) -> bool:
        with self._hold(app, request) as app:
            release = releases.current(self._db, app)
            same = release is not None and workspace.tree_of(release.commit) == workspace.tree_of(delivery.commit)
            if same and not force:
                return False
            self._deploy(app, workspace, delivery, request, base)
            return True

    def _deploy(self, app: App, workspace: Workspace, delivery: _Delivery, request: Request, base: str = "") -> None:
        ref = f"refs/heads/{delivery.branch}"
        workspace.may_become(ref, delivery.commit)
        workspace.settle()
        source = Source(app.name, workspace.target, delivery.commit, workspace.objects)

        def save() -> None:
            workspace.adopt()
            delivery.note(app)

        self._pipeline.deploy(app, source, delivery.why, request, save=save, base=base)
        workspace.set_ref(ref, delivery.commit)
        repos.point_head(workspace.target, delivery.branch, self._settings.user)
        self._repositories.tidy_later(app)

    def _store(self, app: App, workspace: Workspace, delivery: _Delivery, fetched: str | None) -> None:
        ref = f"refs/heads/{delivery.branch}"
        workspace.may_become(ref, delivery.commit)
        workspace.settle()
        workspace.adopt()
        workspace.set_ref(ref, delivery.commit)
        with self._db.transaction():
            delivery.note(app)
            app_rows.set_property(self._db, app.id, FETCHED, fetched)
        self._repositories.tidy_later(app)
