"""The syntax of Go's templates (text/template), as far as asking for fields takes it: text to nodes.

Fields (`.State.Status`), some functions, `|`, parentheses, `if` and `range`. There are no variables, so a template ends
after as many steps as it has words for each value that it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from paas.errors import InvalidInput
from paas.names import shown

_LONGEST = 4096
_DEEPEST = 16
_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<number>-?\d{1,9}\b)|(?P<field>(?:\.[A-Za-z_]\w*)+|\.)"""
    r"""|(?P<word>[A-Za-z_]\w*)|(?P<sign>[|()]))""",
    re.ASCII,
)
FUNCTIONS = ("index", "join", "json", "len", "lower", "split", "title", "upper")


@dataclass(frozen=True, slots=True)
class Field:
    """The names of a path: none for the value itself. `of` is what it begins at, None for the value at hand."""

    names: tuple[str, ...]
    of: Node | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A function's name, or a field that takes words; and what it is given."""

    function: str | Field
    given: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """`range` or `if`."""

    kind: str
    over: Node
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int


Node = Field | Call | Block | Literal


def parse(text: str) -> tuple[Node, ...]:
    """Raises InvalidInput for what is no template, or is beyond what is known here."""
    if len(text) > _LONGEST:
        raise InvalidInput(f"The format is longer than {_LONGEST} characters")
    text = text.replace("\\t", "\t").replace("\\n", "\n")
    pieces: list[Literal | str] = []
    at, trimmed = 0, False
    for found in _ACTION.finditer(text):
        before = text[at : found.start()]
        before = before.lstrip() if trimmed else before
        pieces.append(Literal(before.rstrip() if found[1] else before))
        pieces.append(found[2].strip())
        at, trimmed = found.end(), bool(found[3])
    rest = text[at:].lstrip() if trimmed else text[at:]
    if "{{" in rest:
        raise wrong("{{ has no }}")
    pieces.append(Literal(rest))
    nodes, end = _nodes(iter(pieces), ())
    assert not end
    return tuple(nodes)


def _nodes(pieces: Iterable[Literal | str], ends: Sequence[str], depth: int = 0) -> tuple[list[Node], str]:
    """Those up to one of the words in `ends`, and that word."""
    found: list[Node] = []
    if depth > _DEEPEST:
        raise wrong("it is nested too deeply")
    for piece in pieces:
        if isinstance(piece, Literal):
            found += [piece] if piece.value else []
            continue
        word, _, rest = piece.partition(" ")
        if word in ("range", "if"):
            body, end = _nodes(pieces, ("end", "else"), depth + 1)
            otherwise = _nodes(pieces, ("end",), depth + 1)[0] if end == "else" else []
            found.append(Block(word, _expression(rest), tuple(body), tuple(otherwise)))
        elif piece in ends:
            return found, piece
        elif word in ("end", "else", "with", "define", "template", "block"):
            raise wrong(f"{{{{{shown(piece)}}}}} cannot stand here")
        else:
            found.append(_expression(piece))
    if ends:
        raise wrong("{{end}} is missing")
    return found, ""


def _expression(text: str) -> Node:
    tokens: list[tuple[str, str]] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise wrong(f"{shown(text)} is not understood")
        assert match.lastgroup is not None
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    node = _pipeline(tokens, 0)
    if tokens:
        raise wrong(f"{shown(text)} is not understood")
    return node


def _pipeline(tokens: list[tuple[str, str]], depth: int) -> Node:
    if depth > _DEEPEST:
        raise wrong("it is nested too deeply")
    node: Node | None = None
    while True:
        given: list[Node] = []
        function = ""
        if tokens and tokens[0][0] == "word":
            function = tokens.pop(0)[1]
            if function not in FUNCTIONS:
                raise wrong(f"{shown(function)} is no function", f"Known: {', '.join(FUNCTIONS)}")
        while tokens and tokens[0][1] not in ("|", ")"):
            given.append(_operand(tokens, depth))
        if node is not None:
            given.append(node)
        if function:
            node = Call(function, tuple(given))
        elif len(given) > 1 and isinstance(given[0], Field):
            node = Call(given[0], tuple(given[1:]))
        elif len(given) == 1 and node is None:
            node = given[0]
        else:
            raise wrong("a field or a function is missing", "Example: {{.ID}} {{json .Labels}}")
        if not tokens or tokens[0][1] != "|":
            return node
        tokens.pop(0)


def _operand(tokens: list[tuple[str, str]], depth: int) -> Node:
    kind, word = tokens.pop(0)
    if kind == "text":
        try:
            return Literal(word[1:-1] if word[0] == "`" else str(json.loads(word)))
        except ValueError:
            raise wrong(f"{shown(word)} is not understood") from None
    if kind == "number":
        return Literal(int(word))
    if kind == "field":
        return Field(tuple(name for name in word.split(".") if name))
    if word != "(":
        raise wrong(f"{shown(word)} cannot stand here")
    inner = _pipeline(tokens, depth + 1)
    if not tokens or tokens.pop(0)[1] != ")":
        raise wrong("( has no )")
    if tokens and tokens[0][0] == "field" and tokens[0][1] != ".":
        return Field(tuple(tokens.pop(0)[1][1:].split(".")), inner)
    return inner


def wrong(why: str, hint: str = "") -> InvalidInput:
    """The error for a template that cannot be used."""
    return InvalidInput(f"The format cannot be used: {why}", hint=hint or "Example: '{{.ID}} {{json .}}'")
