"""The packs that come with the program, and the templates that all packs share."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping

from paas.buildpacks import pack
from paas.buildpacks.pack import Pack
from paas.errors import NotFound
from paas.names import nearest, shown
from paas.paths import BUILDPACKS
from paas.source.directory import DirectoryTree

SHARED = "_shared"
ALIASES = {
    "nodejs": "node", "gradle": "java", "jvm": "java", "django": "python", "nginx": "static", "html": "static",
}  # fmt: skip
"""Names that Heroku's and Dokku's packs have."""


@functools.cache
def packs() -> Mapping[str, Pack]:
    """By name, the one with the highest priority first. Raises InvalidInput with file and line."""
    found = []
    opened = os.open(BUILDPACKS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with DirectoryTree(opened) as tree:
        for entry in tree.list(tree.root):
            if entry.kind == "dir" and not entry.name.startswith(("_", ".")):
                found.append(pack.read(tree, entry.path, entry.name, trusted=True))
    found.sort(key=lambda each: (-each.priority, each.name))
    return {each.name: each for each in found}


@functools.cache
def shared() -> Mapping[str, str]:
    return {file.name: file.read_text() for file in sorted((BUILDPACKS / SHARED).glob("*.j2"))}


def get(name: str) -> Pack:
    """Raises NotFound with near matches."""
    known = packs()
    found = known.get(ALIASES.get(name, name))
    if found is None:
        close = nearest(name, [*known, *ALIASES])
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(sorted(known))}"
        raise NotFound(f"There is no buildpack {shown(name)}", hint=hint)
    return found
