"""JSON with comments (`//`, `/* */`) and trailing commas, read strictly otherwise: RFC 8259, no key twice."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from paas.apps.nodes import DEPTH_LIMIT, Node, below, decoded
from paas.errors import InvalidInput
from paas.names import shown

_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "false": False, "null": None}


def parse(data: bytes, file: str) -> Node:
    """The tree of a file. Raises InvalidInput with file and line."""
    reader = _Reader(decoded(data, file), file)
    node = reader.value("", 0)
    reader.skip()
    if reader.at < len(reader.text):
        raise reader.error("something follows the end of the object")
    return node


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.at = 0
        self._file = file
        self._counted, self._line = 0, 1

    def error(self, message: str) -> InvalidInput:
        return InvalidInput(f"{self._file}:{self._line_here()}: {message}")

    def _line_here(self) -> int:
        """Counted from the place where it was asked for last: each newline once."""
        self._line += self.text.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line

    def skip(self) -> None:
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        if self.text.startswith("/*", self.at):
            raise self.error("a comment is not closed")

    def value(self, path: str, depth: int) -> Node:
        self.skip()
        if depth > DEPTH_LIMIT:
            raise self.error("nested too deeply")
        line = self._line_here()
        return Node(self._value(path, depth), self._file, line, path)

    def _value(self, path: str, depth: int) -> Any:
        match self.text[self.at : self.at + 1]:
            case "{":
                return self._object(path, depth)
            case "[":
                return self._list(path, depth)
            case '"':
                return self._string()
            case "":
                raise self.error("the file ends too early")
        for word, value in _WORDS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        number = _NUMBER.match(self.text, self.at)
        if number is None:
            found = shown(self.text[self.at : self.at + 12].split("\n")[0])
            raise self.error(f"{found} is no value; text stands in double quotes")
        self.at = number.end()
        if len(number[0]) > 30:
            raise self.error("the number is too long")
        return json.loads(number[0])

    def _string(self) -> str:
        try:
            text, self.at = scanstring(self.text, self.at + 1, True)
        except json.JSONDecodeError as error:
            self.at = max(self.at, min(error.pos, len(self.text)))
            raise self.error(error.msg[:1].lower() + error.msg[1:]) from None
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise self.error("half of a surrogate pair is no text")
        return str(text)

    def _object(self, path: str, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while not self._ends("}", first=not found):
            if not self.text.startswith('"', self.at):
                raise self.error("a key in double quotes is missing here")
            key = self._string()
            if key in found:
                raise self.error(f"{shown(key)} stands here twice")
            self.skip()
            if not self.text.startswith(":", self.at):
                raise self.error(f"a colon is missing after {shown(key)}")
            self.at += 1
            found[key] = self.value(below(path, key), depth + 1)
        return found

    def _list(self, path: str, depth: int) -> list[Node]:
        found: list[Node] = []
        while not self._ends("]", first=not found):
            found.append(self.value(below(path, len(found)), depth + 1))
        return found

    def _ends(self, bracket: str, *, first: bool) -> bool:
        """Go past the opening bracket, or the comma, before the next element; True past the closing bracket."""
        if first:
            self.at += 1
            self.skip()
        else:
            self.skip()
            comma = self.text.startswith(",", self.at)
            if comma:
                self.at += 1
                self.skip()
            elif not self.text.startswith(bracket, self.at):
                raise self.error(f"a comma or {bracket} is missing here")
        if self.text.startswith(bracket, self.at):
            self.at += 1
            return True
        return False
