"""`--format` as Docker has it: what a template shows of a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paas.commands import template_syntax
from paas.commands.template_syntax import Block, Call, Field, Literal, Node, wrong

_EMPTY = (None, False, "", 0)


@dataclass(frozen=True, slots=True)
class Template:
    nodes: tuple[Node, ...]

    def render(self, value: object) -> str:
        """Raises InvalidInput for a field that is not there."""
        return _rendered(self.nodes, value)

    def headings(self, names: Mapping[str, str]) -> str:
        """The same line with the heading of each field in its place."""
        parts = []
        for node in self.nodes:
            while isinstance(node, Call):
                fields = [given for given in (node.function, *node.given) if isinstance(given, Field | Call)]
                node = fields[0] if fields else Literal("")
            if isinstance(node, Field) and node.names:
                parts.append(names.get(node.names[0], node.names[0].upper()))
            elif isinstance(node, Literal):
                parts.append(str(node.value))
        return "".join(parts)


def parse(text: str) -> Template:
    """Raises InvalidInput for what is no template, or is beyond what is known here."""
    return Template(template_syntax.parse(text))


def _rendered(nodes: Iterable[Node], value: object) -> str:
    parts = []
    for node in nodes:
        if not isinstance(node, Block):
            parts.append(_text(_value(node, value)))
            continue
        over = _value(node.over, value)
        if node.kind == "range":
            if not isinstance(over, Mapping | list | tuple):
                raise wrong("range needs a list")
            elements = list(over.values() if isinstance(over, Mapping) else over)
            parts += [_rendered(node.body, element) for element in elements]
            parts += [] if elements else [_rendered(node.otherwise, value)]
        else:
            filled = over not in _EMPTY and over not in ([], {}, ())
            parts.append(_rendered(node.body if filled else node.otherwise, value))
    return "".join(parts)


def _value(node: Node, value: object) -> Any:
    match node:
        case Literal():
            return node.value
        case Field():
            return _field(node, value if node.of is None else _value(node.of, value))
        case Call(function=Field() as method):
            found, given = _value(method, value), [_value(each, value) for each in node.given]
            if not callable(found):
                raise wrong(f".{'.'.join(method.names)} takes no words")
            return _called(found, method.names[-1], given)
        case Call():
            return _called(_KNOWN[str(node.function)], str(node.function), [_value(each, value) for each in node.given])
    raise AssertionError(node)


def _called(function: Callable[..., Any], name: str, given: Sequence[Any]) -> Any:
    try:
        return function(*given)
    except (TypeError, ValueError, AttributeError, LookupError):
        raise wrong(f"{name} cannot be used on what it is given") from None


def _field(node: Field, value: object) -> Any:
    found = value
    for name in node.names:
        if not isinstance(found, Mapping) or name not in found:
            known = ", ".join(f".{key}" for key in found) if isinstance(found, Mapping) else ""
            raise wrong(f"there is no field .{'.'.join(node.names)}", f"Known: {known}" if known else "")
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
