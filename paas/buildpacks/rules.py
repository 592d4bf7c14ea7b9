"""Rules: what has to be in a tree for something to hold; and readings: a text taken from it. Parsed once, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from paas.apps.nodes import Node
from paas.buildpacks import dependencies, patterns
from paas.buildpacks.view import View, at
from paas.errors import InvalidInput
from paas.names import shown

_RULE_KEYS = ("file", "package", "fact", "all", "any", "not", "matches", "key", "is")
_READ_KEYS = ("file", "matches", "unlike", "key", "means")


class Fact(str):
    """A text that was found; `file` is where."""

    file: str

    def __new__(cls, text: str, file: str = "") -> Fact:
        fact = super().__new__(cls, text)
        fact.file = file
        return fact

    @property
    def module(self) -> str:
        """The name under which Python imports the file."""
        parts = self.file.removesuffix(".py").removeprefix("src/").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def folder(self) -> str:
        """Where the file lies, '.' for the top."""
        return self.file.rpartition("/")[0] or "."


@dataclass
class Seen:
    """A tree, and what has been found out about it."""

    view: View
    facts: Mapping[str, Fact] = field(default_factory=dict)

    @cached_property
    def packages(self) -> frozenset[str]:
        return dependencies.packages(self.view)


class Rule(Protocol):
    def holds(self, seen: Seen) -> str | None:
        """What it found, for people; None when it does not hold. Raises InvalidInput for a broken manifest."""

    def looks_for(self) -> str:
        """What it asks for, for people."""

    def files(self) -> list[str]:
        """The paths and patterns it reads."""


# -- a text from a file -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """The first file at a path or pattern, what a line of it matches, or what lies at a key of it."""

    file: str
    matches: str = ""
    key: str = ""
    unlike: str = ""
    """Asks for the first line that is not wholly a match of this, told with its place."""
    means: str = "exact"
    """Of a version: whether a number alone asks for just that, or for it and later ones (`minimum`)."""

    def read(self, seen: Seen) -> Fact | None:
        for path in seen.view.find(self.file):
            text = self.text(seen.view, path)
            if text is not None:
                return Fact(text, path)
        return None

    def text(self, view: View, path: str) -> str | None:
        if self.unlike:
            found = patterns.unlike(view.text(path), self.unlike)
            return f"{path}:{found[0]}: {shown(found[1].strip())}" if found else None
        if self.key:
            value = _as_text(at(view.manifest(path), self.key))
            return value if value is None or not self.matches else patterns.search(value, self.matches)
        return patterns.search(view.text(path), self.matches) if self.matches else ""


def reading(node: Node) -> Reading:
    node.only(_READ_KEYS)
    file = node.get("file")
    if file is None:
        raise node.error("needs a file", "Example: {file: runtime.txt, matches: 'python-(.+)'}")
    means, unlike = node.get("means"), _pattern(node, "unlike")
    if unlike and (node.get("matches") or node.get("key")):
        raise node.error("unlike stands alone beside file")
    kind = means.choice(("exact", "minimum")) if means else "exact"
    return Reading(_path(file), _pattern(node), _key(node), unlike, kind)


# -- rules --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FileRule:
    reading: Reading
    values: tuple[str, ...] = ()

    def holds(self, seen: Seen) -> str | None:
        read = self.reading
        for path in seen.view.find(read.file):
            text = read.text(seen.view, path)
            if text is not None and (not self.values or text in self.values):
                return f"{path} has {read.key}" if read.key else path
        return None

    def looks_for(self) -> str:
        read = self.reading
        if read.key:
            return f"{read.key} in {read.file}"
        return f"{read.file} with certain content" if read.matches else read.file

    def files(self) -> list[str]:
        return [self.reading.file]


@dataclass(frozen=True, slots=True)
class PackageRule:
    names: tuple[str, ...]

    def holds(self, seen: Seen) -> str | None:
        found = [name for name in self.names if dependencies.normal(name) in seen.packages]
        return f"it needs {found[0]}" if found else None

    def looks_for(self) -> str:
        return f"the package {' or '.join(self.names)}"

    def files(self) -> list[str]:
        return list(dependencies.MANIFESTS)


@dataclass(frozen=True, slots=True)
class FactRule:
    name: str
    values: tuple[str, ...]

    def holds(self, seen: Seen) -> str | None:
        fact = seen.facts.get(self.name)
        if fact is None or (self.values and fact not in self.values):
            return None
        return f"{self.name} is {fact}"

    def looks_for(self) -> str:
        return self.name

    def files(self) -> list[str]:
        return []


@dataclass(frozen=True, slots=True)
class All:
    rules: tuple[Rule, ...]

    def holds(self, seen: Seen) -> str | None:
        found = []
        for rule in self.rules:
            what = rule.holds(seen)
            if what is None:
                return None
            found.append(what)
        return " and ".join(filter(None, found))

    def looks_for(self) -> str:
        return " and ".join(filter(None, (rule.looks_for() for rule in self.rules)))

    def files(self) -> list[str]:
        return [file for rule in self.rules for file in rule.files()]


@dataclass(frozen=True, slots=True)
class Either:
    rules: tuple[Rule, ...]

    def holds(self, seen: Seen) -> str | None:
        return next((what for rule in self.rules if (what := rule.holds(seen)) is not None), None)

    def looks_for(self) -> str:
        return ", ".join(filter(None, (rule.looks_for() for rule in self.rules)))

    def files(self) -> list[str]:
        return [file for rule in self.rules for file in rule.files()]


@dataclass(frozen=True, slots=True)
class Not:
    rule: Rule

    def holds(self, seen: Seen) -> str | None:
        return "" if self.rule.holds(seen) is None else None

    def looks_for(self) -> str:
        return ""

    def files(self) -> list[str]:
        return self.rule.files()


def rule(node: Node) -> Rule:
    """A list holds when any of it does. Raises InvalidInput with file and line."""
    if isinstance(node.value, list):
        return Either(_rules(node))
    node.only(_RULE_KEYS)
    kinds = [key for key in ("file", "package", "fact", "all", "any", "not") if node.get(key)]
    if len(kinds) != 1:
        raise node.error("needs one of file, package, fact, all, any, not", "Example: {file: requirements.txt}")
    kind, child = kinds[0], node.mapping()[kinds[0]]
    for key in ("matches", "key", "is"):
        if node.get(key) and kind != "file" and not (key == "is" and kind == "fact"):
            raise node.error(f"{key} does not go with {kind}")
    match kind:
        case "file":
            if node.get("is") and not node.get("key") and not node.get("matches"):
                raise node.error("is needs a key or matches beside it")
            return FileRule(Reading(_path(child), _pattern(node), _key(node)), _texts(node.get("is")))
        case "package":
            return PackageRule(_texts(child))
        case "fact":
            return FactRule(child.text(), _texts(node.get("is")))
        case "all":
            return All(_rules(child))
        case "any":
            return Either(_rules(child))
    return Not(rule(child))


def _rules(node: Node) -> tuple[Rule, ...]:
    found = tuple(rule(item) for item in node.items())
    if not found:
        raise node.error("is empty")
    return found


def _texts(node: Node | None) -> tuple[str, ...]:
    if node is None:
        return ()
    return tuple(item.scalar() for item in node.items()) if isinstance(node.value, list) else (node.scalar(),)


def _path(node: Node) -> str:
    path = node.text()
    if not path or path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
        raise node.error(f"{path!r} is not a path in the repository")
    return path


def _pattern(node: Node, key: str = "matches") -> str:
    found = node.get(key)
    if found is None:
        return ""
    try:
        patterns.compiled(found.text())
    except InvalidInput as error:
        raise found.refuse(error) from None
    return found.text()


def _key(node: Node) -> str:
    found = node.get("key")
    return found.text() if found else ""


def _as_text(value: Any) -> str | None:
    """A scalar as text; of a list or a table only that it is there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return None if value is None else ""
