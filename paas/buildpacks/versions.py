"""Which version of a language an app gets: what it asks for, as its world writes it, against what there is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from paas.buildpacks import dependencies
from paas.buildpacks.rules import Fact, Reading, Seen
from paas.errors import InvalidInput
from paas.names import shown

_NUMBER = re.compile(r"v?(\d{1,6}(?:\.\d{1,6}){0,3})(?:\.[xX*])*(?:[-+a-z.][\w.+-]*)?")
_CLAUSE = re.compile(r"(>=|<=|===?|!=|~>|~=|[<>^~=])?\s*([^\s,<>=!~^|]+)")
_ANY = ("*", "x", "latest", "current", "stable", "lts", "lts/*", "node")


@dataclass(frozen=True, slots=True)
class Offer:
    """A version that can be had: on an image, with packages of its distribution added."""

    text: str
    image: str
    packages: tuple[str, ...] = ()
    build_packages: tuple[str, ...] = ()
    """Those that only the build needs."""
    local: bool = True
    """Whether the image is made here; else it comes from a registry."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language that a pack chooses a version of."""

    name: str
    title: str
    readings: tuple[Reading, ...]
    offers: tuple[Offer, ...]
    """The one that is preferred first; where nothing is asked for it is taken."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Words that stand for a version, in lower case."""
    needed_by: tuple[str, ...] = ()
    """Packages whose own requirement counts as well, where the app declares them and a lock file has it."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an app gets; `wanted` is what it asks for, where it does, `needs` what its packages ask for, by name."""

    language: Language
    offer: Offer
    wanted: Fact | None
    needs: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def why(self) -> str:
        if self.wanted:
            return f"{self.wanted.file} asks for {self.wanted}"
        return ", ".join(_needing(*each) for each in self.needs.items()) or "nothing asks for another"


def choose(language: Language, seen: Seen) -> Chosen:
    """Raises InvalidInput, with the versions that can be had, for one that cannot."""
    wanted, requirement = _wanted(language, seen)
    left = [offer for offer in language.offers if satisfies(offer.text, requirement)]
    asks = f"{wanted.file} asks for {language.title} {shown(wanted)[1:-1]}" if wanted else ""
    if not left:
        raise InvalidInput(f"{asks}, which cannot be had", hint=_can_be_had(language, wanted or ""))
    needs = _needs(language, seen)
    for name, need in needs.items():
        enough = [offer for offer in left if satisfies(offer.text, need)]
        if wanted and not enough:
            other = next(offer.text for offer in language.offers if satisfies(offer.text, need))
            raise InvalidInput(
                f"{asks}, but {_needing(name, need)}",
                hint=f"Ask for {other} in {wanted.file}, or take a {name} that needs less.",
            )
        left = enough or left
    return Chosen(language, left[0], wanted, needs)


def _wanted(language: Language, seen: Seen) -> tuple[Fact | None, str]:
    """What the first reading finds that finds anything, and the requirement that it stands for."""
    for read in language.readings:
        found = read.read(seen)
        if found and (text := found.strip()):
            requirement = language.names.get(text.lower(), text)
            return Fact(text, found.file), f">={requirement}" if read.means == "minimum" else requirement
    return None, "*"


def _needs(language: Language, seen: Seen) -> dict[str, Fact]:
    """What the packages themselves require, by name. What no offer meets is left for them to complain of."""
    found = {}
    for name in language.needed_by:
        if dependencies.normal(name) in seen.packages and (text := dependencies.engine(seen.view, name, language.name)):
            requirement = Fact(*text)
            if any(satisfies(offer.text, requirement) for offer in language.offers):
                found[name] = requirement
    return found


def _needing(name: str, requirement: Fact) -> str:
    return f"{name} needs {shown(requirement)[1:-1]} ({requirement.file})"


def _can_be_had(language: Language, wanted: str) -> str:
    """The names too, where a word was asked for."""
    named = language.names and not any(char.isdigit() for char in wanted)
    names = f"; by name: {', '.join(language.names)}" if named else ""
    return f"There are: {listed(language.offers)}{names}"


def listed(offers: Sequence[Offer]) -> str:
    """Those made here, then those that a registry has."""
    here = ", ".join(offer.text for offer in offers if offer.local)
    there = ", ".join(offer.text for offer in offers if not offer.local)
    return "; ".join(filter(None, [here, there and f"from a registry: {there}"]))


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version, as far as its parts are given, can be one that a requirement allows.

    `3.11` stands for all of its patches: it satisfies 3.11.4, ^3.9, >=3.8,<4 and 3.x. Several alternatives stand
    between `||` or single `|`.
    """
    have = numbers(version)
    return any(_all(have, part) for part in wanted.replace("||", "|").split("|"))


def numbers(text: str) -> tuple[int, ...]:
    found = _NUMBER.fullmatch(text.strip())
    return tuple(map(int, found[1].split("."))) if found else ()


def _all(have: tuple[int, ...], clauses: str) -> bool:
    text = clauses.strip().strip("\"'")
    if text.lower() in _ANY or text == "":
        return True
    if ranged := re.fullmatch(r"(\S+)\s+-\s+(\S+)", text):
        text = f">={ranged[1]} <={ranged[2]}"
    found = _CLAUSE.findall(text)
    return bool(found) and all(_clause(have, sign, word) for sign, word in found)


def _clause(have: tuple[int, ...], sign: str, word: str) -> bool:
    if word.lower() in _ANY:
        return True
    want = numbers(word)
    if not want:
        return False
    common = min(len(have), len(want))
    ours, theirs = have[:common], want[:common]
    match sign:
        case "" | "=" | "==" | "===":
            return ours == theirs
        case "!=":
            return ours != theirs or len(want) > len(have)
        case ">=":
            return ours >= theirs
        case ">":
            return ours > theirs or (ours == theirs and len(want) > len(have))
        case "<=":
            return ours <= theirs
        case "<":
            return ours < theirs or (ours == theirs and len(want) > len(have) and any(want[common:]))
        case "^":
            fixed = next((at for at, part in enumerate(want) if part), len(want) - 1) + 1
            return have[: min(fixed, common)] == want[: min(fixed, common)] and ours >= theirs
        case "~=" | "~>":
            fixed = max(len(want) - 1, 1)
        case _:
            fixed = min(2, len(want))
    return have[: min(fixed, common)] == want[: min(fixed, common)] and ours >= theirs
