"""Which version of a language an app gets: what it asks for, as its world writes it, against what there is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an app gets; `wanted` is what it asks for, where it does."""

    language: Language
    offer: Offer
    wanted: Fact | None

    @property
    def why(self) -> str:
        return f"{self.wanted.file} asks for {self.wanted}" if self.wanted else "nothing asks for another"


def choose(language: Language, seen: Seen) -> Chosen:
    """Raises InvalidInput, with the versions that can be had, for one that cannot."""
    for read in language.readings:
        wanted = read.read(seen)
        if not wanted or not wanted.strip():
            continue
        text = f">={wanted}" if read.means == "minimum" else wanted
        for offer in language.offers:
            if satisfies(offer.text, text):
                return Chosen(language, offer, Fact(wanted.strip(), wanted.file))
        raise InvalidInput(
            f"{wanted.file} asks for {language.title} {shown(wanted.strip())[1:-1]}, which cannot be had",
            hint=f"There are: {listed(language.offers)}",
        )
    return Chosen(language, language.offers[0], None)


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
