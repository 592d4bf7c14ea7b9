"""Our builder without an engine, and all that these tests know of its interfaces."""

from __future__ import annotations

import io
import os
import secrets
import shutil
import tempfile
import time
from pathlib import Path

from paas.build.builder import Builder
from paas.build.layering import Layering
from paas.build.options import BuildOptions
from paas.build.progress import Progress
from paas.build.steps.caches import CacheMounts
from paas.errors import BuildFailed, InvalidInput
from paas.image.archive import config_json, write_archive
from paas.image.store import ImageStore
from paas.image.unpack import unpack
from paas.model import DEFAULT_PATH, HistoryEntry, Image, ImageConfig, Source
from paas.names import AppName
from paas.output import Discard
from paas.paths import Paths
from paas.runtime import cgroups
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import SandboxPool
from paas.settings import Settings
from paas.source.directory import DirectoryTree
from paas.source.tree import GitTree
from paas.state.database import Database
from paas.system import mounts
from paas.system.run import run
from tests.differential.case import Case
from tests.differential.seen import FAILED, config_of, files_of
from tests.runtime.host import Links

_CREATED = "2026-01-02T03:04:05Z"
_GIT = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Ann", "EMAIL": "ann@example.com", "DATE": "1700000000 +0000"}.items()
}


class Ours:
    """A context manager; nothing is left after the block."""

    def __init__(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="paas-diff-", dir="/var/tmp"))
        self.top.chmod(0o711)
        self._settings = Settings(
            data_dir=self.top / "data",
            run_dir=self.top / "run",
            cgroup=f"paas-d{secrets.token_hex(4)}",
            uid_base=0x58000000,
            ready_sandboxes=1,
        )
        paths = Paths(self._settings.data_dir, self._settings.run_dir)
        paths.data.mkdir()
        self._db = Database(paths.database)
        self.store = ImageStore(self._db, paths)
        runtime = Runtime(self._settings, paths)
        runtime.prepare()
        self._pool = SandboxPool(self._settings, paths, Links())
        self._pool.start()
        self._paths = paths
        steps = runtime.steps(self._pool)
        self._builder = Builder(self._settings, self.store, paths, steps, CacheMounts(paths.caches), "")
        self._repo = self.top / "repo.git"
        self._git("init", "--quiet", "--bare", str(self._repo))

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *details: object) -> None:
        self._pool.close()
        self._db.close()
        mounts.unmount_below(self.top)
        cgroups.remove(self._settings.cgroup)
        shutil.rmtree(self.top)

    def add(self, root: bytes, reference: str) -> Path:
        """Make an image of a root directory (a tar); returns it as a docker-archive."""
        with self.store.draft() as draft:
            opened = os.open(draft.upper, os.O_RDONLY | os.O_DIRECTORY)
            try:
                unpack(io.BytesIO(root), opened)
            finally:
                os.close(opened)
            layer = self.store.commit(draft, "sha256:" + secrets.token_hex(32))
        config = ImageConfig(env={"PATH": DEFAULT_PATH}, cmd=("sh",))
        image = self.store.add_image(config, [layer], [HistoryEntry(_CREATED, "ADD root")], _CREATED)
        self.store.tag(reference, image.id)
        archive = self.top / "image.tar"
        with archive.open("wb") as file:
            write_archive(self.store, image, file, [reference])
        return archive

    def build(self, case: Case) -> dict[str, str]:
        """The config and the files of what comes out, or the field FAILED."""
        image = None
        for dockerfile, tag in case.builds:
            case.write(self.top / "context", dockerfile)
            try:
                image = self._build(case)
            except (BuildFailed, InvalidInput) as error:
                return {FAILED: error.message}
            if tag:
                self.store.tag(tag, image.id)
        assert image is not None
        return self._seen(image)

    def _build(self, case: Case) -> Image:
        arguments = {name: value for name, value in case.arguments.items() if value is not None}
        options = BuildOptions(target=case.target, arguments=arguments)
        with self._tree(case) as tree, self.store.lease() as lease:
            return self._builder.build(tree, options, Progress(Discard()), lease, lambda: False)

    def _tree(self, case: Case) -> GitTree | DirectoryTree:
        """A commit, or the directory itself where it has what git cannot hold."""
        context = self.top / "context"
        if case.is_for_git:
            return GitTree(Source(AppName("differential"), self._repo, self._commit(context)), None)
        return DirectoryTree(os.open(context, os.O_RDONLY | os.O_DIRECTORY), time=int(time.time()))

    def _seen(self, image: Image) -> dict[str, str]:
        with self.store.lease() as lease, Layering(self.store, self._paths, lease).root(image.layers) as root:
            files = files_of(Path(f"/proc/self/fd/{root}/."))
        return {**config_of(config_json(image, [])), **files}

    def _commit(self, context: Path) -> str:
        words = ("--work-tree", str(context))
        self._git(*words, "add", "--all", "--force", ".", cwd=context)
        tree = self._git("write-tree")
        return self._git("commit-tree", "-m", "Context", tree)

    def _git(self, *words: str, cwd: Path | None = None) -> str:
        env = {"GIT_DIR": str(self._repo), "GIT_CONFIG_GLOBAL": "/dev/null", **_GIT}
        return run(["git", *words], env=env, cwd=cwd).text.strip()
