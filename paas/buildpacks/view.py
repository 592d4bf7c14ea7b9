"""What the rules of packs see of a tree: files by pattern, their text, what is in manifests. Read when asked for."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from paas.apps import yamlfile
from paas.apps.nodes import Node
from paas.errors import InvalidInput
from paas.source.entry import Entry, Tree

TEXT_LIMIT = 8 << 20
"""Bytes of a file whose text or keys a rule may ask for."""
_FILES = 2000
"""Files that one pattern finds at most."""
_DEEPEST = 4
"""Directories that `**` goes down."""
_UNSEEN = frozenset({".git", "node_modules", "vendor", ".venv", "venv", "__pycache__"})
_TOML_PLACE = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)")


class View:
    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._texts: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def find(self, pattern: str) -> list[str]:
        """The files at a path or a pattern (`*`, `?`, `**` as a part of its own), in the tree's order."""
        if not any(char in pattern for char in "*?["):
            entry = self._tree.entry(pattern)
            return [pattern] if entry is not None and entry.kind == "file" else []
        found: list[str] = []
        for path in self._below(self._tree.root, pattern.split("/"), 0):
            found.append(path)
            if len(found) >= _FILES:
                break
        return list(dict.fromkeys(found))

    def text(self, path: str) -> str:
        """Raises InvalidInput for a file that is too large."""
        if path not in self._texts:
            entry = self._tree.entry(path)
            data = b"" if entry is None or entry.kind != "file" else self._read(entry)
            self._texts[path] = data.decode("utf-8-sig", "replace")
        return self._texts[path]

    def manifest(self, path: str) -> Any:
        """A JSON, TOML or YAML file as dictionaries, lists and scalars. Raises InvalidInput with file and line."""
        if path not in self._values:
            self._values[path] = parsed(self.text(path), path)
        return self._values[path]

    def _read(self, entry: Entry) -> bytes:
        try:
            return self._tree.read(entry, TEXT_LIMIT)
        except InvalidInput as error:
            raise InvalidInput(f"{entry.path}: {error.message}", hint=error.hint) from None

    def _below(self, directory: Entry, parts: list[str], depth: int) -> Iterator[str]:
        first, rest = parts[0], parts[1:]
        if first == "**":
            if rest:
                yield from self._below(directory, rest, depth)
            if depth < _DEEPEST:
                for child in self._tree.list(directory):
                    if child.kind == "dir" and child.name not in _UNSEEN:
                        yield from self._below(child, parts, depth + 1)
            return
        for child in self._tree.list(directory):
            if not fnmatchcase(child.name, first):
                continue
            if rest and child.kind == "dir" and (child.name not in _UNSEEN or child.name == first):
                yield from self._below(child, rest, depth + 1)
            elif not rest and child.kind == "file":
                yield child.path


def parsed(text: str, path: str) -> Any:
    """Raises InvalidInput with file and line."""
    try:
        if path.endswith((".yml", ".yaml")):
            return _plain(yamlfile.parse(text.encode(), path))
        if path.endswith(".toml") or path.rpartition("/")[2] == "Pipfile":
            return tomllib.loads(text)
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}:{error.lineno}: {error.msg}") from None
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.fullmatch(str(error))
        line = (place[2] if place else None) or str(text.rstrip("\n").count("\n") + 1)
        raise InvalidInput(f"{path}:{line}: {place[1] if place else error}") from None
    except RecursionError:
        raise InvalidInput(f"{path}: nested too deeply") from None
    except ValueError as error:  # what both readers leave to Python, such as a number of thousands of digits
        raise InvalidInput(f"{path}: {error}") from None


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child) for child in node.value]
    return node.value


def at(value: Any, key: str) -> Any:
    """What lies at `a.b.c` in a manifest; a part may be the number of a list's element. None where there is nothing."""
    for part in key.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
