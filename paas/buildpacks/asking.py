"""What a tree itself asks of its build: Debian packages in an Aptfile, a command in a Procfile."""

from __future__ import annotations

import re

from paas.apps.processes import parse_procfile
from paas.buildpacks.render import Asked
from paas.errors import InvalidInput
from paas.model import WEB
from paas.names import shown
from paas.source.entry import Tree

APTFILE = "Aptfile"
_LIMIT = 64 << 10
_MOST = 200
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,100}(:[a-z0-9]{2,10})?(=[A-Za-z0-9.+:~-]{1,100})?")


def asked(tree: Tree, web: str) -> Asked:
    """`web` is the app's own command, '' for none. Raises InvalidInput with file and line."""
    return Asked(web, _aptfile(tree))


def web_command(tree: Tree) -> str:
    """That of the Procfile; '' without one."""
    entry = tree.entry("Procfile")
    if entry is None or entry.kind != "file":
        return ""
    command = parse_procfile(tree.read(entry, _LIMIT).decode("utf-8", "replace")).get(WEB)
    return command[-1] if command else ""


def package(text: str) -> str:
    """A Debian package, perhaps with an architecture or a version. Raises InvalidInput."""
    if not _PACKAGE.fullmatch(text):
        raise InvalidInput(f"{shown(text)} is not a Debian package", hint="Write a name on each line: libpq5")
    return text


def _aptfile(tree: Tree) -> tuple[str, ...]:
    entry = tree.entry(APTFILE)
    if entry is None or entry.kind != "file":
        return ()
    found = []
    for number, line in enumerate(tree.read(entry, _LIMIT).decode("utf-8", "replace").splitlines(), 1):
        for word in line.partition("#")[0].split():
            try:
                found.append(package(word))
            except InvalidInput as error:
                raise InvalidInput(f"{APTFILE}:{number}: {error.message}", hint=error.hint) from None
    if len(found) > _MOST:
        raise InvalidInput(f"{APTFILE} names more than {_MOST} packages")
    return tuple(dict.fromkeys(found))
