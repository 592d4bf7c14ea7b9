"""The words behind a command's name, as its declaration reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paas.commands.declare import COMMON, Command, Common, Flag
from paas.errors import UsageError
from paas.names import nearest, shown


def parse(
    command: Command, words: Sequence[str], *, flags_follow: bool = False, common: Common | None = None
) -> dict[str, Any]:
    """The words after the command's name to keyword arguments of its function. Raises UsageError.

    What follows the word before a `rest` argument is left alone, flags too, unless it is said that `flags_follow`.
    With `common` the flags of all commands are taken too; the app among them becomes the first argument.
    """
    flags = {flag.name: flag for flag in command.flags} | {flag.short: flag for flag in command.flags if flag.short}
    values: dict[str, Any] = {
        flag.parameter: [] if flag.many else (None if flag.value or flag.any else False) for flag in command.flags
    }
    other = next((flag for flag in command.flags if flag.any), None)
    positional: list[str] = []
    queue = list(words)
    literal = False
    while queue:
        word = queue.pop(0)
        index = min(len(positional), len(command.arguments) - 1)
        is_rest = command.arguments and command.arguments[index].rest and len(positional) >= index
        known = word in flags or (common is not None and word.partition("=")[0] in COMMON)
        if is_rest and not (known and (flags_follow or index == 0)):
            positional.extend([word, *queue] if word != "--" else queue)
            break
        if not literal and word == "--":
            literal = True
        elif not literal and word.startswith("-") and len(word) > 1:
            name, equals, inline = word.partition("=")
            flag = flags.get(name)
            if flag is None and (apart := _apart(word, flags)):
                queue = [*apart, *queue]
                continue
            if flag is None and common is not None and common.take(name, inline if equals else None, queue):
                if name == "--app" and common.app is not None:
                    positional.insert(0, common.app)
                continue
            if flag is None and other is not None and word.startswith("--") and not equals:
                values[other.parameter] = name.removeprefix("--")
                continue
            if flag is None:
                _unknown_flag(command, name, [*flags, *COMMON])
            assert flag is not None
            if flag.number and equals:
                values[flag.parameter] = flag.parse(inline)
            elif flag.number:
                follows = len(queue) > 1 and (queue[0] == "all" or (queue[0].isascii() and queue[0].isdigit()))
                values[flag.parameter] = flag.parse(queue.pop(0)) if follows else True
            elif flag.value:
                if not equals and not queue:
                    raise UsageError(f"{name} needs a value", hint=f"Usage: {command.usage}")
                value = flag.parse(inline if equals else queue.pop(0))
                values[flag.parameter] = [*values[flag.parameter], value] if flag.many else value
            elif equals:
                raise UsageError(f"{name} takes no value", hint=f"Usage: {command.usage}")
            else:
                values[flag.parameter] = True
        else:
            positional.append(word)
    return values | _positional(command, positional)


def _apart(word: str, flags: Mapping[str, Flag]) -> list[str]:
    """`-it` as `-i -t`, `-p80:80` as `-p 80:80`; none when it is neither."""
    if word.startswith("--") or len(word) < 3:
        return []
    first = flags.get(word[:2])
    if first is None:
        return []
    if first.value:
        return [word[:2], word[2:]]
    rest = f"-{word[2:]}"
    after = [rest] if rest in flags else _apart(rest, flags)
    return [word[:2], *after] if after else []


def _positional(command: Command, words: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    left = list(words)
    for argument in command.arguments:
        key = argument.name.replace("-", "_")
        if argument.many or argument.rest:
            if not left and not argument.optional:
                raise UsageError(f"<{argument.name}> is missing", hint=f"Usage: {command.usage}")
            values[key] = [argument.parse(word) for word in left]
            left = []
        elif left:
            values[key] = argument.parse(left.pop(0))
        elif argument.optional:
            values[key] = None
        else:
            raise UsageError(f"<{argument.name}> is missing", hint=f"Usage: {command.usage}")
    if left:
        raise UsageError(f"{shown(left[0])} is one word too many", hint=f"Usage: {command.usage}")
    return values


def _unknown_flag(command: Command, name: str, known: list[str]) -> None:
    close = nearest(name, known)
    options = f"Did you mean {', '.join(close)}? " if close else ""
    raise UsageError(f"{command.name} has no flag {shown(name)}", hint=f"{options}Usage: {command.usage}")
