"""Names of containers: what may be one, and friendly ones for those who are given none."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

from paas.errors import InvalidInput
from paas.names import shown

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}", re.ASCII)
_OF_AN_APP = re.compile(r"\.[a-z][a-z0-9-]*\.\d+$", re.ASCII)
"""wiki.web.1"""


def _words(*lines: str) -> tuple[str, ...]:
    return tuple(word for line in lines for word in line.split())


_ADJECTIVES = _words(
    "able brave bright calm clever cosy crisp eager fair fast fine fond gentle glad golden good happy honest jolly",
    "keen kind lively lucky mellow merry mild neat noble patient polite proud quick quiet rapid ready royal sharp",
    "shiny silent smart snug solid steady still sunny swift tidy vivid warm wise witty young zesty",
)
_NOUNS = _words(
    "badger bear beaver bison crane deer dove eagle falcon finch fox gecko gull hare hawk heron ibex ibis jay kestrel",
    "koala lark lemur linnet lion lynx marten mole moose newt otter owl panda pike plover puffin quail raven robin",
    "salmon seal shrew stork swan tapir tern thrush tiger toad trout viper vole walrus weasel whale wolf wren",
)


class ContainerName(str):
    """1 to 128 letters, digits, '_', '.' and '-', the first a letter or digit."""

    __slots__ = ()

    def __new__(cls, value: str) -> ContainerName:
        if not _NAME.fullmatch(value):
            raise InvalidInput(
                f"{shown(value)} is not a name for a container",
                hint="Use letters, digits, '_', '.' and '-', beginning with a letter or digit.",
            )
        if _OF_AN_APP.search(value):
            raise InvalidInput(f"{shown(value)} is how processes of apps are called", hint="Leave the '.1' out.")
        return super().__new__(cls, value)


def generated(taken: Callable[[str], bool]) -> ContainerName:
    """adjective_noun, with a number behind it where the plain ones are taken."""
    for digits in (0, 0, 0, 1, 2, 4, 8):
        name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_NOUNS)}"
        name += str(secrets.randbelow(10**digits)) if digits else ""
        if not taken(name):
            return ContainerName(name)
    raise InvalidInput("No free name was found", hint="Give one: --name NAME")
