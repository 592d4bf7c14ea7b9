"""The files of a container, whether it runs or not: what changed, copies, and images made of them."""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from paas.build.changing import changed
from paas.containers import making, model
from paas.containers.changes import changes
from paas.containers.copying import Place, pack
from paas.containers.life import Life
from paas.containers.lookup import Found
from paas.containers.parts import Parts
from paas.errors import Conflict
from paas.image.tarring import write_tar
from paas.image.unpack import unpack
from paas.model import HistoryEntry, Image, ImageConfig
from paas.paths import Paths
from paas.runtime.rootfs import mounted_plain
from paas.runtime.steps import remove_stubs
from paas.state import apps, releases
from paas.state.containers import State
from paas.state.database import now
from paas.system import run as system


class Files:
    def __init__(self, parts: Parts, life: Life, paths: Paths) -> None:
        self._parts = parts
        self._life = life
        self._paths = paths

    def diff(self, found: Found) -> list[tuple[str, str]]:
        """(A, C or D; path) of what differs from the image."""
        runtime = self._parts.runtime
        numbers = [int(number) for number in runtime.spec(found.id)["layers"]]
        with ExitStack() as undo:
            root = undo.enter_context(mounted_plain(self._scratch(), self._paths.layers, numbers, None))
            opened = []
            for path in (runtime.data(found.id) / "upper", root):
                opened.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                undo.callback(os.close, opened[-1])
            return changes(opened[0], opened[1], frozenset(runtime.stubs(found.id)))

    @contextmanager
    def root(self, found: Found) -> Iterator[tuple[int, int]]:
        """(descriptor of its root directory, host id of its user 0). One that does not run cannot start meanwhile."""
        pid = self._parts.runtime.pid(found.id)
        if pid is None and found.row is None:
            raise Conflict(f"Container {found.name} is not running")
        with ExitStack() as undo:
            if pid is None:
                undo.enter_context(self._life.hold(found.id, "a copy"))
                pid = self._parts.runtime.pid(found.id)  # started while the lock was somebody else's
            if pid is not None:
                base = self._owner_base(found)
                opened = os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                undo.callback(os.close, opened)
                if self._parts.runtime.pid(found.id) != pid:  # it has ended, and the number may be another's
                    raise Conflict(f"Container {found.name} has just ended", hint="Try again.")
                yield opened, base
                return
            self._life.get(found.id)
            numbers = [int(number) for number in self._parts.runtime.spec(found.id)["layers"]]
            data = self._parts.runtime.data(found.id)
            mounted = mounted_plain(self._scratch(), self._paths.layers, numbers, data, volatile=False)
            opened = os.open(undo.enter_context(mounted), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield opened, 0
            finally:
                os.close(opened)

    def export(self, found: Found, stream: IO[bytes]) -> None:
        """Write all files of a container as a tar, without what is in its volumes and mounts."""
        runtime = self._parts.runtime
        pid = runtime.pid(found.id)
        with ExitStack() as undo:
            base = 0
            if pid is not None:
                base, top = self._owner_base(found), runtime.root(found.id)
            else:
                numbers = [int(number) for number in runtime.spec(found.id)["layers"]]
                undo.enter_context(self._life.hold(found.id, "an export"))
                mounted = mounted_plain(
                    self._scratch(), self._paths.layers, numbers, runtime.data(found.id), volatile=False
                )
                top = undo.enter_context(mounted)
            root = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            undo.callback(os.close, root)
            if runtime.pid(found.id) != pid:
                raise Conflict(f"Container {found.name} has just started or ended", hint="Try again.")
            pack(Place(root, "/", base), stream)

    def commit(self, found: Found, reference: str, lines: Sequence[str], message: str, author: str) -> Image:
        """An image of a container as it is now. `lines` are instructions of a Dockerfile that change the config.

        The container is paused meanwhile, unless it is an app's, which has visitors. Raises BuildFailed for a bad line.
        """
        parts, store = self._parts, self._parts.images
        base = store.image(self._image_of(found))
        config = changed(self._config(found, base), lines)
        if author:
            config = replace(config, author=author)
        created = now()
        note = " ".join(str(word) for word in parts.runtime.spec(found.id).get("args") or ())
        with store.lease() as lease, store.draft() as draft:
            lease.add(*base.layers)
            with self._still(found):
                upper = parts.runtime.data(found.id) / "upper"
                if found.row is None:
                    self._copy_moving(upper, draft.upper)
                else:
                    system.run(["cp", "--archive", "--reflink=auto", f"{upper}/.", str(draft.upper)], timeout=600)
            remove_stubs(draft.upper, parts.runtime.stubs(found.id))
            empty = not any(draft.upper.iterdir())
            layers = list(base.layers)
            if not empty:
                digest = hashlib.sha256()
                write_tar(draft.upper, digest.update)
                id = f"sha256:{digest.hexdigest()}"
                layers.append(store.commit(draft, id, id))
                lease.add(layers[-1])
            history = [*base.history, HistoryEntry(created, note, empty, message)]
            image = store.add_image(config, layers, history, created, base.architecture, lease)
            if reference:
                store.tag(reference, image.id)
        return image

    def _copy_moving(self, upper: Path, target: Path) -> None:
        """Copy the changes of a container that goes on. It may put a symlink where a directory was a moment ago: no
        program that goes by paths is safe there, so it is read and written by descriptors."""
        with tempfile.TemporaryFile(dir=self._paths.containers) as file:
            write_tar(upper, file.write)
            file.seek(0)
            root = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                unpack(file, root, whiteouts=True)
            finally:
                os.close(root)

    @contextmanager
    def _still(self, found: Found) -> Iterator[None]:
        """While nothing in the container moves."""
        if found.row is None:
            yield
            return
        with self._life.hold(found.id, "a commit"), ExitStack() as undo:
            if self._life.get(found.id).state is State.RUNNING:
                self._parts.runtime.pause(found.id)
                undo.callback(self._parts.runtime.resume, found.id)
            yield

    def _image_of(self, found: Found) -> str:
        if found.row is not None:
            return found.row.image
        assert found.instance is not None
        db = self._parts.db
        app = apps.by_id(db, found.instance.app_id)
        return releases.get(db, app, found.instance.instance.release).image_id

    def _config(self, found: Found, base: Image) -> ImageConfig:
        """The image's config with what its container was told."""
        if found.row is None:
            return base.config
        options, config = model.loads(found.row.options), base.config
        words = making.arguments(options, config)
        entrypoint = config.entrypoint if options.entrypoint is None else words[: 1 if options.entrypoint else 0]
        return replace(
            config,
            cmd=words[len(entrypoint or ()) :],
            entrypoint=entrypoint or None,
            env={**config.env, **options.env},
            user=config.user if options.user is None else options.user,
            workdir=options.workdir or config.workdir,
            labels={**config.labels, **options.labels},
        )

    def _owner_base(self, found: Found) -> int:
        address = self._life.get(found.id).address if found.row else None
        if found.instance is not None:
            address = found.instance.instance.address
        sandbox = self._parts.sandboxes.at(address) if address is not None else None
        if sandbox is None:
            raise Conflict(f"Container {found.name} is not running")
        return sandbox.uid_base

    def _scratch(self) -> Path:
        return self._paths.run / "build" / secrets.token_hex(6)
