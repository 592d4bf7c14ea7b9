"""What is there and belongs to nothing that the state knows: left by an engine that was killed, or by a fault of ours.

Whatever an engine makes is known before it is made, and forgotten after it is gone. So what is looked up first among
the things and then among those that own them is an orphan for certain, also while others are at work; only build steps
and one-off commands have their owners in the engine's memory: look while none runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from paas.apps.edge import PAGE
from paas.errors import PaasError
from paas.network.links import Links
from paas.paths import Paths
from paas.runtime import cgroups, conmon
from paas.settings import Settings
from paas.source import repos
from paas.state import apps, builds, containers, oneoffs, releases
from paas.state.backups import HALF
from paas.state.database import Database
from paas.system import mounts
from paas.system.files import remove_tree

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orphan:
    kind: str
    what: str
    remove: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.kind} {self.what}"


def clean(settings: Settings, paths: Paths, db: Database) -> None:
    """At start, once what former engines left has been adopted or ended: remove the rest."""
    for orphan in find(settings, paths, db):
        log.warning("removing the %s, which belongs to nothing", orphan)
        try:
            orphan.remove()
        except (OSError, PaasError) as error:
            log.error("the %s cannot be removed: %s", orphan, error)


def find(settings: Settings, paths: Paths, db: Database) -> list[Orphan]:
    """All there are. Layers are not among them: paas.image.layers makes these agree with their rows itself."""
    return [
        *_of_containers(settings, paths, db),
        *_links(settings, paths),
        *_of_apps(paths, db),
        *_received(settings, paths),
        *_pages(paths, db),
        *_builds(paths, db),
        *_backups(paths),
    ]


def _of_containers(settings: Settings, paths: Paths, db: Database) -> Iterator[Orphan]:
    """Directories, mounts and cgroups named by the id of a container that no row has."""
    places = conmon.Places(paths.run)
    folders = {
        "bundle": paths.bundles,
        "container": paths.containers,
        "runtime state": places.crun,
        "exit file": places.exits,
        "socket": places.sockets,
        "conmon directory": places.persist,
    }
    found = [(kind, entry) for kind, folder in folders.items() for entry in _entries(folder)]
    groups = cgroups.below(settings.cgroup)
    known = {row.instance.id for row in releases.instances(db)}
    known |= {row.id for row in containers.listing(db)} | {row.id for row in oneoffs.listing(db)}
    for kind, path in found:
        if path.name not in known:
            yield Orphan(kind, str(path), partial(_remove, path))
    for name in groups - known:
        yield Orphan("cgroup", f"{settings.cgroup}/{name}", partial(cgroups.end, f"{settings.cgroup}/{name}"))


def _links(settings: Settings, paths: Paths) -> Iterator[Orphan]:
    """Network links without a sandbox; a sandbox that nobody uses is destroyed by the pool when it begins."""
    links = Links(settings.link_prefix)
    try:
        names = links.names()
        numbers = {entry.name for entry in _entries(paths.sandboxes)}
        for name in names:
            if name.removeprefix(settings.link_prefix) not in numbers:
                yield Orphan("link", name, partial(links.remove, name))
    finally:
        links.close()


def _of_apps(paths: Paths, db: Database) -> Iterator[Orphan]:
    """Files named by the id of an app that is no more, or made for one and not yet in their place."""
    owned: Mapping[str, Path] = {
        "repository": paths.repos,
        "certificate": paths.certificates,
        "maintenance page": paths.maintenance,
    }
    found = [(kind, entry) for kind, folder in owned.items() for entry in _entries(folder)]
    known = {str(app.id) for app in apps.listing(db)}
    for kind, path in found:
        number = path.name.removesuffix(".git")
        if number not in known:
            yield Orphan(kind, str(path), partial(_remove, path))


def _pages(paths: Paths, db: Database) -> Iterator[Orphan]:
    """Maintenance pages that were written and came not to hold."""
    for app in apps.listing(db):
        found = _entries(paths.maintenance / str(app.id))
        current = apps.property(db, app.id, PAGE)
        for path in found:
            if path.name != current:
                yield Orphan("maintenance page", str(path), partial(_remove, path))


def _received(settings: Settings, paths: Paths) -> Iterator[Orphan]:
    """What git had received of pushes that were cut off."""
    for name in repos.quarantines(paths.repos, settings.user):
        yield Orphan("push", name, partial(repos.drop_quarantine, name, settings.user))


def _builds(paths: Paths, db: Database) -> Iterator[Orphan]:
    """The output of builds that are forgotten."""
    found = _entries(paths.builds)
    for path in found:
        if path.stem.isdigit() and builds.get(db, int(path.stem)) is None:
            yield Orphan("build output", str(path), partial(_remove, path))


def _backups(paths: Paths) -> Iterator[Orphan]:
    """Copies of the database that were not made whole."""
    for path in _entries(paths.backups):
        if path.name.startswith(HALF):
            yield Orphan("half a backup", str(path), partial(_remove, path))


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        mounts.unmount_below(path)
    remove_tree(path)
