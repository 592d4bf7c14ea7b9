"""How a command is declared: one declaration gives parsing, validation, help, docs and near matches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from paas.errors import InvalidInput, UsageError
from paas.names import nearest, shown

Parse = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Argument:
    """A positional argument. `many` takes all that follow; `rest` does so without looking for flags in them."""

    name: str
    parse: Parse = str
    optional: bool = False
    many: bool = False
    rest: bool = False

    @property
    def usage(self) -> str:
        text = f"<{self.name}>" + ("..." if self.many or self.rest else "")
        return f"[{text}]" if self.optional else text


@dataclass(frozen=True, slots=True)
class Flag:
    """`--name`, or with `value` `--name VALUE`; `many` collects a list.

    With `number` a count (or `all`) may follow, unless it is the last word: the value is True, or what followed.
    """

    name: str
    help: str
    value: str = ""
    parse: Parse = str
    short: str = ""
    many: bool = False
    number: bool = False

    @property
    def parameter(self) -> str:
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def usage(self) -> str:
        words = f"{self.short}|{self.name}" if self.short else self.name
        if self.number:
            return f"[{words} [NUMBER]]"
        return f"[{words} {self.value}]" if self.value else f"[{words}]"


@dataclass(frozen=True, slots=True)
class Command:
    """A command. `function(context, **arguments)` returns nothing or an exit status."""

    name: str
    arguments: tuple[Argument, ...]
    flags: tuple[Flag, ...]
    examples: tuple[str, ...]
    admin: bool
    function: Callable[..., int | None]
    page: str = ""
    """Of the reference in docs/, for a command whose name has no noun in front."""

    @property
    def summary(self) -> str:
        return self.description.splitlines()[0]

    @property
    def description(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def noun(self) -> str:
        return self.name.partition(":")[0]

    @property
    def usage(self) -> str:
        return " ".join([self.name, *(f.usage for f in self.flags), *(a.usage for a in self.arguments)])


FORMAT = Flag("--format", "plain or json", "plain|json", parse=lambda text: _one_of(text, ("plain", "json")))
FORCE = Flag("--force", "do not ask before destroying something")
GLOBAL = Flag("--global", "for all apps")


def app_argument(*, optional: bool = False) -> Argument:
    """The app a command is about. Not parsed as a name for a new app: whatever does not exist is reported so."""
    return Argument("app", optional=optional)


class Catalog:
    """All commands by name."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}
        self.aliases: dict[str, str] = {}

    def command(
        self,
        name: str,
        *parts: Argument | Flag,
        examples: Sequence[str] = (),
        admin: bool = False,
        aliases: Sequence[str] = (),
        page: str = "",
    ) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
        """Register the decorated function; its docstring is the help."""

        def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
            arguments = tuple(part for part in parts if isinstance(part, Argument))
            flags = tuple(part for part in parts if isinstance(part, Flag))
            assert name not in self._commands and name not in self.aliases, f"{name} is declared twice"
            self._commands[name] = Command(name, arguments, flags, tuple(examples), admin, function, page)
            for alias in aliases:
                self.aliases[alias] = name
            return function

        return register

    def __iter__(self) -> Any:
        return iter(sorted(self._commands.values(), key=lambda command: command.name))

    def knows(self, name: str) -> bool:
        return name in self._commands or name in self.aliases

    def find(self, name: str) -> Command:
        """Raises UsageError with near matches."""
        command = self._commands.get(self.aliases.get(name, name))
        if command is None:
            siblings = [known for known in self._commands if known.startswith(name + ":")]
            close = nearest(name, [*self._commands, *self.aliases]) or siblings[:3]
            hint = f"Did you mean {', '.join(close)}?" if close else "`help` lists all commands."
            raise UsageError(f"{shown(name)} is not a paas command", hint=hint)
        return command

    def group(self, noun: str) -> list[Command]:
        return [command for command in self if command.noun == noun]


def parse(command: Command, words: Sequence[str], *, flags_follow: bool = False) -> dict[str, Any]:
    """The words after the command's name to keyword arguments of its function. Raises UsageError.

    What follows the word before a `rest` argument is left alone, flags too, unless it is said that `flags_follow`.
    """
    flags = {flag.name: flag for flag in command.flags} | {flag.short: flag for flag in command.flags if flag.short}
    values: dict[str, Any] = {
        flag.parameter: [] if flag.many else (None if flag.value else False) for flag in command.flags
    }
    positional: list[str] = []
    queue = list(words)
    literal = False
    while queue:
        word = queue.pop(0)
        index = min(len(positional), len(command.arguments) - 1)
        is_rest = command.arguments and command.arguments[index].rest and len(positional) >= index
        if is_rest and not (word in flags and (flags_follow or index == 0)):
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
            if flag is None:
                _unknown_flag(command, name, list(flags))
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


def _one_of(text: str, choices: tuple[str, ...]) -> Literal["plain", "json"]:
    if text not in choices:
        raise InvalidInput(f"{shown(text)} is not a format", hint=f"Known: {', '.join(choices)}")
    return text  # type: ignore[return-value]
