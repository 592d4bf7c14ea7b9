"""YAML as a tree that knows its lines: the plain part of YAML 1.2, without anchors, aliases and tags.

It is built from the parser's events, so that nothing in a file can make more of itself than stands there.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from paas.apps.nodes import DEPTH_LIMIT, Node, below, decoded
from paas.errors import InvalidInput
from paas.names import shown

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,15})\.[0-9]{1,15}")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


def parse(data: bytes, file: str) -> Node:
    """The tree of a file. Raises InvalidInput with file and line."""
    try:
        return _Reader(decoded(data, file), file).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidInput(f"{file}:{line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InvalidInput(f"{file}: {str(error).splitlines()[0]}") from None


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._events = yaml.parse(text, yaml.SafeLoader)
        self._file = file

    def document(self) -> Node:
        event = self._next()
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            return Node({}, self._file, 1)
        node = self._node(event, "", 0)
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise self._error(event, "only one document may stand in the file")
        return node

    def _next(self) -> Any:
        return next(self._events)

    def _error(self, event: Any, message: str) -> InvalidInput:
        return InvalidInput(f"{self._file}:{event.start_mark.line + 1}: {message}")

    def _node(self, event: Any, path: str, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._error(event, "anchors and aliases (& and *) are not read here")
        if getattr(event, "tag", None):
            raise self._error(event, f"tags such as {shown(event.tag)} are not read here")
        if depth > DEPTH_LIMIT:
            raise self._error(event, "nested too deeply")
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            return Node(_scalar(event.value) if event.style is None else event.value, self._file, line, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node(self._list(path, depth), self._file, line, path)
        return Node(self._mapping(path, depth), self._file, line, path)

    def _list(self, path: str, depth: int) -> list[Node]:
        found: list[Node] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            found.append(self._node(event, below(path, len(found)), depth + 1))
        return found

    def _mapping(self, path: str, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key = self._node(event, path, depth + 1)
            if not isinstance(event, yaml.ScalarEvent) or not event.value:
                raise self._error(event, "a key has to be text")
            name = event.value
            if name in found:
                raise self._error(event, f"{shown(name)} stands here twice")
            value = self._node(self._next(), below(path, name), depth + 1)
            found[name] = Node(value.value, value.file, key.line, value.path)
        return found


def _scalar(text: str) -> Any:
    """What plain text stands for: no `yes`, no octal numbers, no times. `80:50` is text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
