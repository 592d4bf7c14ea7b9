"""A pack: buildpack.yml and its templates, read from a folder, a commit or a repository. Errors carry file and line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.apps import yamlfile
from paas.apps.nodes import Node
from paas.buildpacks import dependencies
from paas.buildpacks.rules import Reading, Rule, reading, rule
from paas.buildpacks.versions import Language, Offer, numbers
from paas.errors import InvalidInput
from paas.names import shown
from paas.source.entry import Entry, Tree

MANIFEST, TEMPLATE = "buildpack.yml", "Dockerfile.j2"
_PROGRAM = "bin/compile"
"""What Heroku's packs have."""
_LIMIT = 256 << 10
"""Bytes of a file of a pack."""
_FILES = 32
"""Templates of a pack."""
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_FACT = re.compile(r"[a-z][a-z0-9_]{0,30}")
_KEYS = ("title", "priority", "detect", "facts", "versions", "processes", "no-start", "refuse", "says", "port")


@dataclass(frozen=True, slots=True)
class Case:
    """`text` where the rule holds; without a rule always."""

    when: Rule | None
    text: str = ""
    hint: str = ""
    read: Reading | None = None
    """For a fact: the text is what this finds."""


@dataclass(frozen=True, slots=True)
class Pack:
    name: str
    title: str
    detect: Rule | None
    """None: it is taken only where it is asked for."""
    priority: int = 0
    """Of several that match the highest is taken."""
    facts: Mapping[str, tuple[Case, ...]] = field(default_factory=dict)
    languages: tuple[Language, ...] = ()
    processes: Mapping[str, tuple[Case, ...]] = field(default_factory=dict)
    """Commands, templates themselves. `web` is the default; others are offered, never run unasked."""
    no_start: tuple[Case, ...] = ()
    refuse: tuple[Case, ...] = ()
    says: tuple[Case, ...] = ()
    port: int | None = None
    """Where it listens whatever $PORT says."""
    templates: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False
    """Whether it came with the program."""
    manifest: bytes = field(default=b"", repr=False)
    """buildpack.yml as it was read."""
    file: str = MANIFEST
    """What messages call it."""
    broken: InvalidInput | None = None
    """What is wrong with it. Then there is nothing else of it than what it recognises."""

    @property
    def folder(self) -> str:
        """What messages call the folder it lies in."""
        return self.file.rpartition("/")[0] or self.name

    def files(self) -> list[str]:
        """The paths and patterns that its rules and readings read, each once."""
        cases = [
            case
            for cases in (*self.facts.values(), *self.processes.values(), self.no_start, self.refuse, self.says)
            for case in cases
        ]
        rules = [self.detect, *(case.when for case in cases)]
        found = [file for rule in rules if rule is not None for file in rule.files()]
        found += [case.read.file for case in cases if case.read is not None]
        for language in self.languages:
            found += [read.file for read in language.readings]
            found += [*dependencies.LOCKS, *dependencies.MANIFESTS] if language.needed_by else []
        return list(dict.fromkeys(found))


def read(tree: Tree, folder: str, name: str, *, trusted: bool, shown_as: str = "") -> Pack:
    """The pack in a folder of a tree ('' is its top). Raises InvalidInput with file and line."""
    check_name(name)
    where = shown_as or f"buildpacks/{name}"
    directory = tree.entry(folder)
    if directory is None or directory.kind != "dir":
        raise InvalidInput(f"There is no buildpack in {where}")
    files = {entry.name: entry for entry in tree.list(directory) if entry.kind == "file"}
    for needed in (MANIFEST, TEMPLATE):
        if needed not in files:
            hint = f"A buildpack is a {MANIFEST} and a {TEMPLATE}."
            if tree.entry(f"{folder}/{_PROGRAM}" if folder else _PROGRAM) is not None:
                hint = (
                    f"It is one for Heroku: {_PROGRAM} is a program, and those of buildpacks are not run here. {hint}"
                )
            raise InvalidInput(f"{where} has no {needed}", hint=hint)
    templates = {file: _text(tree, entry, where) for file, entry in files.items() if file.endswith(".j2")}
    if len(templates) > _FILES:
        raise InvalidInput(f"{where} has more than {_FILES} templates")
    data = _data(tree, files[MANIFEST], where)
    return parse(data, f"{where}/{MANIFEST}", name, templates, trusted=trusted)


def recognising(tree: Tree, folder: str, name: str, error: InvalidInput) -> Pack | None:
    """Of a broken pack that came with the program, what it recognises; None where that cannot be read either."""
    file = f"buildpacks/{name}/{MANIFEST}"
    entry = tree.entry(f"{folder}/{MANIFEST}")
    if entry is None or entry.kind != "file" or not _NAME.fullmatch(name):
        return None
    try:
        node = yamlfile.parse(tree.read(entry, _LIMIT), file)
        detect, priority = node.get("detect"), node.get("priority")
        found = rule(detect) if detect else None
        order = priority.whole(-1000, 1000) if priority else 0
    except InvalidInput:
        return None
    return Pack(name, name, found, order, trusted=True, file=file, broken=error) if found else None


def check_name(name: str) -> str:
    """Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{shown(name)} is not a name of a buildpack", hint="Use a-z, 0-9 and '-', at most 31.")
    return name


def parse(data: bytes, file: str, name: str, templates: Mapping[str, str], *, trusted: bool = False) -> Pack:
    """Raises InvalidInput with file and line."""
    node = yamlfile.parse(data, file)
    node.only(_KEYS)
    title, detect, priority, port = (node.get(key) for key in ("title", "detect", "priority", "port"))
    return Pack(
        name,
        title.text() if title else name,
        rule(detect) if detect else None,
        priority.whole(-1000, 1000) if priority else 0,
        _facts(node.get("facts")),
        tuple(_language(key, child) for key, child in _mapping(node.get("versions")).items()),
        {key: _cases(child, "run") for key, child in _mapping(node.get("processes")).items()},
        _cases(node.get("no-start"), "text"),
        _cases(node.get("refuse"), "message"),
        _cases(node.get("says"), "text"),
        port.whole(1, 65535) if port else None,
        dict(templates),
        trusted,
        data,
        file,
    )


def _facts(node: Node | None) -> dict[str, tuple[Case, ...]]:
    found = {}
    for name, child in _mapping(node).items():
        if not _FACT.fullmatch(name):
            raise child.error("is not a name of a fact", "Use a-z, 0-9 and '_'.")
        found[name] = _cases(child, "is", reads=True)
    return found


def _cases(node: Node | None, main: str, *, reads: bool = False) -> tuple[Case, ...]:
    """A list of cases, the first that holds counts (of `says` and `refuse` all). A text alone is one case."""
    if node is None:
        return ()
    if not isinstance(node.value, list):
        node = Node([node], node.file, node.line, node.path)
    found = []
    for item in node.items():
        if not isinstance(item.value, dict):
            found.append(Case(None, item.scalar()))
            continue
        item.only((main, "when", "hint", *(("read",) if reads else ())))
        text, when, hint, read = (item.get(key) for key in (main, "when", "hint", "read"))
        if (text is None) == (read is None):
            raise item.error(f"needs {main}" + (" or read" if reads else ""))
        found.append(
            Case(
                rule(when) if when else None,
                text.scalar() if text else "",
                hint.text() if hint else "",
                reading(read) if read else None,
            )
        )
    return tuple(found)


def _language(name: str, node: Node) -> Language:
    node.only(("title", "read", "offered", "names", "needed-by"))
    title, reads, offered, needed = (node.get(key) for key in ("title", "read", "offered", "needed-by"))
    if offered is None or not offered.mapping():
        raise node.error("needs the versions that are offered", "Example: offered: {'3.11': {image: debian:bookworm}}")
    offers = tuple(_offer(text, child) for text, child in offered.mapping().items())
    readings = tuple(reading(item) for item in reads.items()) if reads else ()
    names = {word.lower(): child.scalar() for word, child in _mapping(node.get("names")).items()}
    needed_by = tuple(item.text() for item in needed.items()) if needed else ()
    return Language(name, title.text() if title else name, readings, offers, names, needed_by)


def _offer(text: str, node: Node) -> Offer:
    node.only(("image", "packages", "build-packages"))
    if not numbers(text):
        raise node.error(f"{shown(text)} is not a version", "Write it in quotes: '3.11'")
    image = node.get("image")
    if image is None:
        raise node.error("needs an image", "debian:bookworm is made here; others come from a registry.")
    words = [
        tuple(item.text() for item in child.items()) if (child := node.get(key)) else ()
        for key in ("packages", "build-packages")
    ]
    return Offer(text, image.text(), words[0], words[1], local=image.text().startswith(("debian:", "ubuntu:")))


def _mapping(node: Node | None) -> dict[str, Node]:
    return node.mapping() if node else {}


def _data(tree: Tree, entry: Entry, where: str) -> bytes:
    try:
        return tree.read(entry, _LIMIT)
    except InvalidInput as error:
        raise InvalidInput(f"{where}/{entry.name}: {error.message}") from None


def _text(tree: Tree, entry: Entry, where: str) -> str:
    try:
        return _data(tree, entry, where).decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{where}/{entry.name} is not UTF-8 text") from None
