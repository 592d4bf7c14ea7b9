"""`--filter KEY=VALUE` as Docker has it: values of one key are alternatives, keys have to hold together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from paas.commands.declare import Flag
from paas.errors import InvalidInput
from paas.names import shown

_T = TypeVar("_T")


def filter_flag(keys: Sequence[str]) -> Flag:
    """The flag of a command that knows these keys."""

    def pair(text: str) -> tuple[str, str]:
        key, equals, value = text.partition("=")
        if not equals or key not in keys:
            raise InvalidInput(f"{shown(text)} is not a filter", hint=f"Known: {', '.join(f'{k}=...' for k in keys)}")
        return key, value

    names = ", ".join(keys)
    return Flag("--filter", f"only those for which it holds: {names}", "KEY=VALUE", parse=pair, short="-f", many=True)


def passed(
    things: Iterable[_T], filters: Sequence[tuple[str, str]], tests: Mapping[str, Callable[[_T, str], bool]]
) -> list[_T]:
    """Those that pass: for each key one of its values. Labels have to be there all."""
    alternatives: dict[str, list[str]] = {}
    for key, value in filters:
        alternatives.setdefault(f"label={value}" if key == "label" else key, []).append(value)
    return [
        thing
        for thing in things
        if all(
            any(tests[key.partition("=")[0]](thing, value) for value in values) for key, values in alternatives.items()
        )
    ]


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """`KEY` or `KEY=VALUE`."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def is_yes(text: str) -> bool:
    """Raises InvalidInput."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise InvalidInput(f"{shown(text)} is neither true nor false")
    return text.lower() in ("true", "1")
