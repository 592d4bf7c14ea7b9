"""How a command is declared: one declaration gives parsing, validation, help, docs and near matches."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from paas.apps.access import Role
from paas.errors import InvalidInput, UsageError
from paas.names import nearest, shown

Parse = Callable[[str], Any]

Effect = Literal["reads", "acts", "changes"]
"""What a command does: nothing, something worth an event, or a change that a locked app refuses."""


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

    @property
    def names_app(self) -> bool:
        """Whether its (first) word names an app that exists: so it is for all that are called app or app-SOMETHING."""
        return self.parse is str and (self.name == "app" or self.name.startswith("app-"))

    @property
    def may_name_another(self) -> bool:
        """Whether a word that is no app may be something else: a container, an image, a number."""
        return self.name.startswith("app-or-")


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
    any: bool = False
    """Stands for every flag that is not declared; its value is that flag's name without the dashes."""

    @property
    def parameter(self) -> str:
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def usage(self) -> str:
        words = f"{self.short}|{self.name}" if self.short else self.name
        if self.any:
            return f"[{words}]"
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
    needs: Role | None
    """What the caller has to be on the apps that are named, on all when none is; None for what anyone may do."""
    effect: Effect
    lists: bool
    """Without an app it shows those that the caller may see, and no others."""
    function: Callable[..., int | None]
    page: str = ""
    """Of the reference in docs/, for a command whose name has no noun in front."""
    shows_without: str = ""
    """The argument without which it only shows something, as `ps:scale wiki` does."""

    def only_shows(self, values: Mapping[str, Any]) -> bool:
        return self.effect == "reads" or (bool(self.shows_without) and not values[self.shows_without])

    def needed(self, values: Mapping[str, Any]) -> Role | None:
        shows = self.effect != "reads" and self.only_shows(values)
        return Role.VIEW if shows and self.needs is Role.DEPLOY else self.needs

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
KEY = Flag("--KEY", "print the value of this key alone, as --format json names it", any=True)
FORCE = Flag("--force", "do not ask before destroying something")
GLOBAL = Flag("--global", "for all apps")


@dataclass(slots=True)
class Common:
    """The flags that every command knows, unless it has one of that name itself."""

    quiet: bool = False
    force: bool = False
    trace: bool = False
    """Taken and without effect: there is nothing to trace here as there is in Dokku's shell scripts."""
    app: str | None = None

    def take(self, name: str, inline: str | None, queue: list[str]) -> bool:
        """Whether it is one of these; then it is set, with its value from the queue."""
        if name == "--app":
            if inline is None and not queue:
                raise UsageError("--app needs a value")
            self.app = queue.pop(0) if inline is None else inline
        elif name in ("--quiet", "--force", "--trace") and inline is None:
            setattr(self, name[2:], True)
        else:
            return False
        return True


COMMON = ("--quiet", "--force", "--trace", "--app")


def app_argument(*, optional: bool = False) -> Argument:
    """The app a command is about. Not parsed as a name for a new app: whatever does not exist is reported so."""
    return Argument("app", optional=optional)


class Catalog:
    """All commands by name."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}
        self.aliases: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        """Nouns that others of the kind have, with what to do instead here."""

    def command(
        self,
        name: str,
        *parts: Argument | Flag,
        examples: Sequence[str] = (),
        admin: bool = False,
        needs: Literal["anyone", "view", "deploy", "admin"] | None = None,
        effect: Effect | None = None,
        lists: bool | None = None,
        aliases: Sequence[str] = (),
        page: str = "",
        shows_without: str = "",
    ) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
        """Register the decorated function; its docstring is the help.

        What nothing is said about needs `deploy` and changes something; `admin` is short for needs="admin".
        """
        asked = needs or ("admin" if admin else "deploy")
        role = None if asked == "anyone" else Role[asked.upper()]
        does = effect or ("reads" if asked in ("anyone", "view") else "changes")
        filtered = name.endswith(":report") if lists is None else lists

        def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
            arguments = tuple(part for part in parts if isinstance(part, Argument))
            flags = tuple(part for part in parts if isinstance(part, Flag))
            assert name not in self._commands and name not in self.aliases, f"{name} is declared twice"
            self._commands[name] = Command(
                name, arguments, flags, tuple(examples), role, does, filtered, function, page, shows_without
            )
            for alias in aliases:
                self.aliases[alias] = name
            return function

        return register

    def __iter__(self) -> Any:
        return iter(sorted(self._commands.values(), key=lambda command: command.name))

    def find(self, name: str) -> Command:
        """Raises UsageError with near matches."""
        command = self._commands.get(self.aliases.get(name, name))
        for absent, instead in self.absent.items() if command is None else ():
            if name == absent or name.startswith(f"{absent}:"):
                raise UsageError(f"{shown(name)} is not offered here", hint=instead)
        if command is None:
            siblings = [known for known in self._commands if known.startswith(name + ":")]
            close = nearest(name, [*self._commands, *self.aliases]) or siblings[:3]
            hint = f"Did you mean {', '.join(close)}?" if close else "`help` lists all commands."
            raise UsageError(f"{shown(name)} is not a paas command", hint=hint)
        return command

    def known(self, name: str) -> bool:
        return self.aliases.get(name, name) in self._commands

    def group(self, noun: str) -> list[Command]:
        return [command for command in self if command.noun == noun]


def _one_of(text: str, choices: tuple[str, ...]) -> Literal["plain", "json"]:
    if text not in choices:
        raise InvalidInput(f"{shown(text)} is not a format", hint=f"Known: {', '.join(choices)}")
    return text  # type: ignore[return-value]
