"""`--format` as Docker has it: Go templates (text/template), as far as asking for fields takes them.

Fields (`.State.Status`), the functions below, `|`, parentheses, `if` and `range`. There are no variables and no other
functions, so a template ends after as many steps as it has words for each value that it is given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
_FUNCTIONS = ("index", "join", "json", "len", "lower", "split", "title", "upper")
_EMPTY = (None, False, "", 0)


@dataclass(frozen=True, slots=True)
class _Field:
    """The names of a path: none for the value itself. `of` is what it begins at, None for the value at hand."""

    names: tuple[str, ...]
    of: _Node | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    """A function's name, or a field that takes words; and what it is given."""

    function: str | _Field
    given: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Block:
    """`range` or `if`."""

    kind: str
    over: _Node
    body: tuple[_Node, ...]
    otherwise: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class _Literal:
    value: str | int


_Node = _Field | _Call | _Block | _Literal


@dataclass(frozen=True, slots=True)
class Template:
    nodes: tuple[_Node, ...]

    def render(self, value: object) -> str:
        """Raises InvalidInput for a field that is not there."""
        return _rendered(self.nodes, value)

    def headings(self, names: Mapping[str, str]) -> str:
        """The same line with the heading of each field in its place."""
        parts = []
        for node in self.nodes:
            while isinstance(node, _Call):
                fields = [given for given in (node.function, *node.given) if isinstance(given, _Field | _Call)]
                node = fields[0] if fields else _Literal("")
            if isinstance(node, _Field) and node.names:
                parts.append(names.get(node.names[0], node.names[0].upper()))
            elif isinstance(node, _Literal):
                parts.append(str(node.value))
        return "".join(parts)


def parse(text: str) -> Template:
    """Raises InvalidInput for what is no template, or is beyond what is known here."""
    if len(text) > _LONGEST:
        raise InvalidInput(f"The format is longer than {_LONGEST} characters")
    text = text.replace("\\t", "\t").replace("\\n", "\n")
    pieces: list[_Literal | str] = []
    at, trimmed = 0, False
    for found in _ACTION.finditer(text):
        before = text[at : found.start()]
        before = before.lstrip() if trimmed else before
        pieces.append(_Literal(before.rstrip() if found[1] else before))
        pieces.append(found[2].strip())
        at, trimmed = found.end(), bool(found[3])
    rest = text[at:].lstrip() if trimmed else text[at:]
    if "{{" in rest:
        raise _wrong("{{ has no }}")
    pieces.append(_Literal(rest))
    nodes, end = _nodes(iter(pieces), ())
    assert not end
    return Template(tuple(nodes))


def _nodes(pieces: Iterable[_Literal | str], ends: Sequence[str], depth: int = 0) -> tuple[list[_Node], str]:
    """Those up to one of the words in `ends`, and that word."""
    found: list[_Node] = []
    if depth > _DEEPEST:
        raise _wrong("it is nested too deeply")
    for piece in pieces:
        if isinstance(piece, _Literal):
            found += [piece] if piece.value else []
            continue
        word, _, rest = piece.partition(" ")
        if word in ("range", "if"):
            body, end = _nodes(pieces, ("end", "else"), depth + 1)
            otherwise = _nodes(pieces, ("end",), depth + 1)[0] if end == "else" else []
            found.append(_Block(word, _expression(rest), tuple(body), tuple(otherwise)))
        elif piece in ends:
            return found, piece
        elif word in ("end", "else", "with", "define", "template", "block"):
            raise _wrong(f"{{{{{shown(piece)}}}}} cannot stand here")
        else:
            found.append(_expression(piece))
    if ends:
        raise _wrong("{{end}} is missing")
    return found, ""


def _expression(text: str) -> _Node:
    tokens: list[tuple[str, str]] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise _wrong(f"{shown(text)} is not understood")
        assert match.lastgroup is not None
        tokens.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    node = _pipeline(tokens, 0)
    if tokens:
        raise _wrong(f"{shown(text)} is not understood")
    return node


def _pipeline(tokens: list[tuple[str, str]], depth: int) -> _Node:
    if depth > _DEEPEST:
        raise _wrong("it is nested too deeply")
    node: _Node | None = None
    while True:
        given: list[_Node] = []
        function = ""
        if tokens and tokens[0][0] == "word":
            function = tokens.pop(0)[1]
            if function not in _FUNCTIONS:
                raise _wrong(f"{shown(function)} is no function", f"Known: {', '.join(_FUNCTIONS)}")
        while tokens and tokens[0][1] not in ("|", ")"):
            given.append(_operand(tokens, depth))
        if node is not None:
            given.append(node)
        if function:
            node = _Call(function, tuple(given))
        elif len(given) > 1 and isinstance(given[0], _Field):
            node = _Call(given[0], tuple(given[1:]))
        elif len(given) == 1 and node is None:
            node = given[0]
        else:
            raise _wrong("a field or a function is missing", "Example: {{.ID}} {{json .Labels}}")
        if not tokens or tokens[0][1] != "|":
            return node
        tokens.pop(0)


def _operand(tokens: list[tuple[str, str]], depth: int) -> _Node:
    kind, word = tokens.pop(0)
    if kind == "text":
        try:
            return _Literal(word[1:-1] if word[0] == "`" else str(json.loads(word)))
        except ValueError:
            raise _wrong(f"{shown(word)} is not understood") from None
    if kind == "number":
        return _Literal(int(word))
    if kind == "field":
        return _Field(tuple(name for name in word.split(".") if name))
    if word != "(":
        raise _wrong(f"{shown(word)} cannot stand here")
    inner = _pipeline(tokens, depth + 1)
    if not tokens or tokens.pop(0)[1] != ")":
        raise _wrong("( has no )")
    if tokens and tokens[0][0] == "field" and tokens[0][1] != ".":
        return _Field(tuple(tokens.pop(0)[1][1:].split(".")), inner)
    return inner


# -- values -------------------------------------------------------------------------------------------------------


def _rendered(nodes: Iterable[_Node], value: object) -> str:
    parts = []
    for node in nodes:
        if not isinstance(node, _Block):
            parts.append(_text(_value(node, value)))
            continue
        over = _value(node.over, value)
        if node.kind == "range":
            if not isinstance(over, Mapping | list | tuple):
                raise _wrong("range needs a list")
            elements = list(over.values() if isinstance(over, Mapping) else over)
            parts += [_rendered(node.body, element) for element in elements]
            parts += [] if elements else [_rendered(node.otherwise, value)]
        else:
            filled = over not in _EMPTY and over not in ([], {}, ())
            parts.append(_rendered(node.body if filled else node.otherwise, value))
    return "".join(parts)


def _value(node: _Node, value: object) -> Any:
    match node:
        case _Literal():
            return node.value
        case _Field():
            return _field(node, value if node.of is None else _value(node.of, value))
        case _Call(function=_Field() as method):
            found, given = _value(method, value), [_value(each, value) for each in node.given]
            if not callable(found):
                raise _wrong(f".{'.'.join(method.names)} takes no words")
            return _called(found, method.names[-1], given)
        case _Call():
            return _called(_KNOWN[str(node.function)], str(node.function), [_value(each, value) for each in node.given])
    raise AssertionError(node)


def _called(function: Callable[..., Any], name: str, given: Sequence[Any]) -> Any:
    try:
        return function(*given)
    except (TypeError, ValueError, AttributeError, LookupError):
        raise _wrong(f"{name} cannot be used on what it is given") from None


def _field(node: _Field, value: object) -> Any:
    found = value
    for name in node.names:
        if not isinstance(found, Mapping) or name not in found:
            known = ", ".join(f".{key}" for key in found) if isinstance(found, Mapping) else ""
            raise _wrong(f"there is no field .{'.'.join(node.names)}", f"Known: {known}" if known else "")
        found = found[name]
    return found


def _text(value: object) -> str:
    """As Go prints it."""
    match value:
        case None:
            return "<no value>"
        case bool():
            return "true" if value else "false"
        case Mapping():
            return f"map[{' '.join(f'{key}:{_text(each)}' for key, each in sorted(value.items()))}]"
        case list() | tuple():
            return f"[{' '.join(map(_text, value))}]"
    return str(value)


def _json(value: object) -> str:
    if isinstance(value, Mapping):
        value = {key: each for key, each in value.items() if not callable(each)}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else value[key]
    return value


def _join(words: Iterable[object], between: str) -> str:
    return between.join(map(_text, words))


_KNOWN: Mapping[str, Callable[..., Any]] = {
    "index": _index,
    "join": _join,
    "json": _json,
    "len": len,
    "lower": lambda text: str.lower(text),
    "split": lambda text, between: str.split(text, between),
    "title": lambda text: str.title(text),
    "upper": lambda text: str.upper(text),
}


def _wrong(why: str, hint: str = "") -> InvalidInput:
    return InvalidInput(f"The format cannot be used: {why}", hint=hint or "Example: '{{.ID}} {{json .}}'")
