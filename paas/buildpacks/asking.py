"""What a tree itself asks of its build: Debian packages in an Aptfile, a command in a Procfile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.apps.buildpacks import MOST, address, debian_package
from paas.apps.nodes import Node
from paas.buildpacks.render import Asked
from paas.errors import InvalidInput, PaasError
from paas.source.entry import Tree

APTFILE, LIST = "Aptfile", ".buildpacks"
FILES = (APTFILE, "Procfile", "paas.yml")
_LIMIT = 64 << 10
_MOST = 200


@dataclass(frozen=True, slots=True)
class Named:
    """A pack that is named for an app; `place` says where in its files, '' for by command."""

    name: str
    place: str = ""

    def refuse(self, error: PaasError) -> InvalidInput:
        return InvalidInput(f"{self.place}: {error.message}", hint=error.hint)


def asked(tree: Tree, web: str, apt: Sequence[str] = (), secrets: Sequence[str] = ()) -> Asked:
    """`web` is the app's own command, '' for none; `apt` are packages besides those of the Aptfile, `secrets` config
    vars that the build may see. Raises InvalidInput with file and line."""
    return Asked(web, tuple(dict.fromkeys((*_aptfile(tree), *apt))), tuple(secrets))


def listed(tree: Tree, appjson: Node | None = None) -> list[Named]:
    """The packs that a file .buildpacks names, one on a line; else those of app.json: `[{"url": "heroku/python"}]`.

    Raises InvalidInput with file and line.
    """
    found = []
    for number, line in enumerate(_text(tree, LIST).splitlines(), 1):
        if (word := line.strip()) and not word.startswith("#"):
            found.append((word, f"{LIST}:{number}"))
    for item in appjson.items() if appjson is not None and not found else ():
        url = item.get("url") if isinstance(item.value, dict) else item
        if url is None:
            raise item.error("needs a url", 'Example: {"url": "heroku/python"}')
        found.append((url.text().strip(), f"{url.file}:{url.line}: {url.path}"))
    if len(found) > MOST:
        file = found[0][1].partition(":")[0]
        raise InvalidInput(f"{file} names more than {MOST} buildpacks")
    named: dict[str, Named] = {}
    for word, place in found:
        try:
            name = address(word)
        except InvalidInput as error:
            raise InvalidInput(f"{place}: {error.message}", hint=error.hint) from None
        named.setdefault(name, Named(name, place))
    return list(named.values())


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
