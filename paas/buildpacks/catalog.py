"""The packs that come with the program, and the templates that all packs share."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass

from paas.buildpacks import pack, render
from paas.buildpacks.pack import Pack
from paas.errors import BuildFailed, InvalidInput, NotFound
from paas.names import nearest, shown
from paas.paths import BUILDPACKS
from paas.source.directory import DirectoryTree

SHARED = "_shared"
ALIASES = {
    "nodejs": "node", "gradle": "java", "jvm": "java", "django": "python", "nginx": "static", "html": "static",
}  # fmt: skip
"""Names that Heroku's and Dokku's packs have."""
_Stamp = tuple[tuple[str, int, int, int], ...]
"""(path, inode, size, time of change) of everything in the folders of packs."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What there was at one moment. A folder that is no pack, or not yet, harms no other."""

    packs: Mapping[str, Pack]
    """By name, the one with the highest priority first. Broken ones that can still recognise a tree are among them."""
    broken: Mapping[str, InvalidInput]
    """Folder -> what is wrong with it, with file and line."""
    shared: Mapping[str, str]
    """Templates by file name."""

    @property
    def blind(self) -> dict[str, str]:
        """The broken ones of which nobody can say what they recognise, and what is wrong with them."""
        return {name: error.message for name, error in self.broken.items() if name not in self.packs}

    def get(self, name: str) -> Pack:
        """Raises NotFound with near matches, BuildFailed for one that is broken and cannot even be read."""
        real = ALIASES.get(name, name)
        if (found := self.packs.get(real)) is not None:
            return found
        if real in self.broken:
            raise is_broken(real, self.broken[real])
        close = nearest(name, [*self.packs, *ALIASES])
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(sorted(self.packs))}"
        raise NotFound(f"There is no buildpack {shown(name)}", hint=hint)


def current() -> Catalog:
    """As the files are now: they are read again when one of them has changed."""
    return _read(_stamp())


def is_broken(name: str, error: InvalidInput) -> BuildFailed:
    return BuildFailed(
        f"The buildpack {name} of this server is broken: {error.message}",
        hint="Whoever runs the server has to mend its folder. Until then: choose another pack (buildpacks:set), or add"
        " a Dockerfile.",
    )


def _stamp() -> _Stamp:
    found = []
    for folder in _entries(BUILDPACKS):
        if folder.is_dir(follow_symlinks=False):
            found += [_mark(folder), *map(_mark, _entries(folder))]
    return tuple(sorted(found))


def _entries(directory: os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:  # it goes just now
        return []


def _mark(entry: os.DirEntry[str]) -> tuple[str, int, int, int]:
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError:
        return entry.path, 0, 0, 0
    return entry.path, info.st_ino, info.st_size, info.st_mtime_ns


@functools.lru_cache(maxsize=2)
def _read(stamp: _Stamp) -> Catalog:
    found, broken = list[Pack](), dict[str, InvalidInput]()
    shared = _shared()
    if not stamp:
        return Catalog({}, {}, shared)
    with DirectoryTree(os.open(BUILDPACKS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as tree:
        for entry in tree.list(tree.root):
            if entry.kind == "dir" and not entry.name.startswith(("_", ".")):
                try:
                    read = pack.read(tree, entry.path, entry.name, trusted=True)
                    render.check(read)
                except InvalidInput as error:
                    broken[entry.name] = error
                    rest = pack.recognising(tree, entry.path, entry.name, error)
                    if rest is None:
                        continue
                    read = rest
                found.append(read)
    found.sort(key=lambda each: (-each.priority, each.name))
    return Catalog({each.name: each for each in found}, broken, shared)


def _shared() -> dict[str, str]:
    found = {}
    for file in sorted((BUILDPACKS / SHARED).glob("*.j2")):
        try:
            found[file.name] = file.read_text(errors="replace")
        except OSError:
            continue  # whoever imports it is told that it is not there
    return found
