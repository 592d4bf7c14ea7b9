"""What a tree itself asks of its build: Debian packages in an Aptfile, a command in a Procfile."""

from __future__ import annotations

from collections.abc import Sequence

from paas.apps import paasyml
from paas.apps.buildpacks import MOST, address, debian_package
from paas.apps.paasyml import PaasYml
from paas.apps.processes import parse_procfile
from paas.buildpacks.render import Asked
from paas.errors import InvalidInput
from paas.model import WEB
from paas.source.entry import Tree

APTFILE, LIST = "Aptfile", ".buildpacks"
FILES = (APTFILE, "Procfile", "paas.yml")
_LIMIT = 64 << 10
_MOST = 200


def asked(tree: Tree, web: str, apt: Sequence[str] = (), secrets: Sequence[str] = ()) -> Asked:
    """`web` is the app's own command, '' for none; `apt` are packages besides those of the Aptfile, `secrets` config
    vars that the build may see. Raises InvalidInput with file and line."""
    return Asked(web, tuple(dict.fromkeys((*_aptfile(tree), *apt))), tuple(secrets))


def listed(tree: Tree) -> list[str]:
    """The packs that a file .buildpacks names, one on a line. Raises InvalidInput with file and line."""
    found = []
    for number, line in enumerate(_text(tree, LIST).splitlines(), 1):
        if (word := line.strip()) and not word.startswith("#"):
            try:
                found.append(address(word))
            except InvalidInput as error:
                raise InvalidInput(f"{LIST}:{number}: {error.message}", hint=error.hint) from None
    if len(found) > MOST:
        raise InvalidInput(f"{LIST} names more than {MOST} buildpacks")
    return list(dict.fromkeys(found))


def of_directory(tree: Tree) -> Asked:
    """What a directory asks for that is no app's: its Procfile, Aptfile and paas.yml. Raises InvalidInput."""
    entry = tree.entry(paasyml.FILE)
    yml = paasyml.parse(tree.read(entry, _LIMIT)) if entry is not None and entry.kind == "file" else PaasYml()
    command = yml.processes.get(WEB)
    return asked(tree, command[-1] if command else _web_command(tree), yml.apt)


def _web_command(tree: Tree) -> str:
    """That of the Procfile; '' without one."""
    text = _text(tree, "Procfile")
    command = parse_procfile(text).get(WEB) if text else None
    return command[-1] if command else ""


def _text(tree: Tree, path: str) -> str:
    """'' where there is no such file. Raises InvalidInput for one that is too large."""
    entry = tree.entry(path)
    return "" if entry is None or entry.kind != "file" else tree.read(entry, _LIMIT).decode("utf-8", "replace")


def _aptfile(tree: Tree) -> tuple[str, ...]:
    found = []
    for number, line in enumerate(_text(tree, APTFILE).splitlines(), 1):
        for word in line.partition("#")[0].split():
            try:
                found.append(debian_package(word))
            except InvalidInput as error:
                raise InvalidInput(f"{APTFILE}:{number}: {error.message}", hint=error.hint) from None
    if len(found) > _MOST:
        raise InvalidInput(f"{APTFILE} names more than {_MOST} packages")
    return tuple(dict.fromkeys(found))
