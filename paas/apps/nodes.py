"""Files of a repository as trees that know their lines: for messages that say where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from paas.errors import InvalidInput
from paas.names import nearest, shown

SIZE_LIMIT = 256 << 10
"""Bytes of a file."""
DEPTH_LIMIT = 32


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a file: text, a number, true or false, None, a list of nodes, or a dictionary of them."""

    value: Any
    file: str
    line: int
    path: str = ""
    """Where in the tree: `healthchecks/web/0`."""

    def error(self, message: str, hint: str | None = None) -> InvalidInput:
        place = f"{self.path}: " if self.path else ""
        return InvalidInput(f"{self.file}:{self.line}: {place}{message}", hint=hint)

    def refuse(self, error: InvalidInput) -> InvalidInput:
        """The error of a value's own type, with the place."""
        return self.error(error.message, error.hint)

    # -- shapes ---------------------------------------------------------------------------------------------------

    def mapping(self) -> dict[str, Node]:
        if not isinstance(self.value, dict):
            raise self.error("has to be an object with keys")
        return self.value

    def items(self) -> list[Node]:
        if not isinstance(self.value, list):
            raise self.error("has to be a list")
        return self.value

    def get(self, key: str) -> Node | None:
        """A key's value; null is the same as not there."""
        found: Node | None = self.mapping().get(key)
        return None if found is None or found.value is None else found

    def unknown(self, known: Sequence[str]) -> list[InvalidInput]:
        """An error for each key that is not `known`, with near matches; whoever asks raises or shows it."""
        found = []
        for key, node in self.mapping().items():
            if key not in known:
                close = nearest(key, known)
                hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}"
                found.append(node.error(f"{shown(key)} is not known", hint))
        return found

    def only(self, known: Sequence[str]) -> None:
        """Raises InvalidInput for the first key that is not known."""
        for error in self.unknown(known):
            raise error

    # -- scalars --------------------------------------------------------------------------------------------------

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.error("has to be text")
        if "\0" in self.value:
            raise self.error("has a NUL byte in it")
        return self.value

    def scalar(self) -> str:
        """Text, or a number or truth value as one would write it in text."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, int | float):
            return str(self.value)
        return self.text()

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.error("has to be true or false")
        return self.value

    def whole(self, low: int, high: int) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.error(f"has to be a whole number from {low} to {high}")
        return self.value

    def number(self, low: float, high: float) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not low <= self.value <= high:
            raise self.error(f"has to be a number from {low:g} to {high:g}")
        return float(self.value)

    def choice(self, choices: Sequence[str]) -> str:
        text = self.text()
        if text not in choices:
            close = nearest(text, choices)
            hint = f"Did you mean {close[0]}?" if close else None
            raise self.error(f"{shown(text)} is none of {', '.join(choices)}", hint)
        return text

    def words(self) -> tuple[str, ...]:
        """A list of texts, not empty."""
        found = tuple(item.text() for item in self.items())
        if not found or not found[0]:
            raise self.error("has to be a list of words, the program first")
        return found


def decoded(data: bytes, file: str) -> str:
    """Raises InvalidInput for what is too long or no UTF-8 text."""
    if len(data) > SIZE_LIMIT:
        raise InvalidInput(f"{file} is longer than {SIZE_LIMIT} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{file}:{line}: this is not UTF-8 text") from None


def below(path: str, part: object) -> str:
    return f"{path}/{part}" if path else str(part)


def joined(parts: Iterable[object]) -> str:
    return ", ".join(map(str, parts))
