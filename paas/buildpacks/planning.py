"""Which packs build a tree, with what: from the tree and what is set on its app, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from paas.buildpacks import catalog, render, versions
from paas.buildpacks.catalog import Catalog
from paas.buildpacks.pack import Case, Pack, read
from paas.buildpacks.render import Asked, Input
from paas.buildpacks.rules import Fact, Seen
from paas.buildpacks.versions import Chosen
from paas.buildpacks.view import View
from paas.errors import BuildFailed, InvalidInput
from paas.names import printable
from paas.source.entry import Tree

BASE = "debian:bookworm"
"""What is built on where no language's version needs another image; images:bootstrap makes it."""


_MOST = 20
"""Packs of one app that are looked at."""


@dataclass(frozen=True, slots=True)
class Version:
    """What an app gets of a language, and why. `others` are those that can be had without a registry."""

    title: str
    text: str
    image: str
    why: str
    others: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A pack on a tree. Plain data, as the plan is: it may come from another process."""

    name: str
    why: str
    versions: dict[str, Version]
    facts: dict[str, str]
    web: str
    says: list[str]
    offers: dict[str, str]
    """Process type -> command: what could stand in a Procfile."""


@dataclass(frozen=True, slots=True)
class Plan:
    applied: list[Applied]
    passed_over: dict[str, str]
    """Packs that match as well, and why."""
    dockerfile: str
    base: str
    """The image for stages that need no language."""
    left_out: dict[str, str]
    """Packs of the server that are too broken to be asked, and what is wrong with them."""

    @property
    def images(self) -> list[str]:
        """Those that the Dockerfile is based on."""
        found = [version.image for each in self.applied for version in each.versions.values()]
        return list(dict.fromkeys([*found, self.base]))


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found out about a tree for one pack."""

    pack: Pack
    versions: dict[str, Chosen]
    facts: dict[str, Fact]
    web: str


FOLDER = ".paas/buildpacks"
"""Where an app has packs of its own."""


def own_packs(tree: Tree) -> list[Pack]:
    """The packs that a tree brings, the highest priority first. Raises InvalidInput with file and line."""
    directory = tree.entry(FOLDER)
    if directory is None or directory.kind != "dir":
        return []
    names = [entry.name for entry in tree.list(directory) if entry.kind == "dir"]
    found = [own_pack(tree, name) for name in names[:_MOST]]
    return sorted(found, key=lambda pack: (-pack.priority, pack.name))


def own_pack(tree: Tree, name: str) -> Pack:
    """One of them. Raises InvalidInput."""
    place = f"{FOLDER}/{name}"
    return read(tree, place, name, trusted=False, shown_as=place)


def matching(tree: Tree, packs: Sequence[Pack]) -> list[tuple[Pack, str]]:
    """(pack, why) of those that recognise a tree, in their order. Raises InvalidInput for a broken manifest."""
    found = []
    for pack in packs:
        why = pack.detect.holds(Seen(View(tree))) if pack.detect else None
        if why is not None:
            found.append((pack, why))
    return found


def plan(
    tree: Tree,
    asked: Asked,
    chosen: Sequence[Pack] = (),
    more: Sequence[Pack] = (),
    known: Catalog | None = None,
) -> Plan:
    """The packs that were `chosen`, in that order, else the one that recognises the tree (of `more`, then of those that
    are `known`, by default the server's).

    Raises BuildFailed when none does, InvalidInput for what is wrong in the tree or a pack.
    """
    known = known or catalog.current()
    passed: list[tuple[Pack, str]] = []
    left_out: dict[str, str] = {}
    if chosen:
        taken = [(pack, "it is set") for pack in chosen]
    else:
        left_out = known.blind
        packs = [*more, *known.packs.values()]
        found = matching(tree, packs)
        if not found:
            raise none_matches(packs, left_out)
        taken, passed = found[:1], found[1:]
    for pack, _ in taken:
        if pack.broken is not None:
            raise catalog.is_broken(pack.name, pack.broken)
    made = [_apply(pack, why, tree, asked, last=pack is taken[-1][0]) for pack, why in taken]
    text = _dockerfile([each for _, each in made], asked, known)
    others = {pack.name: why for pack, why in passed}
    return Plan([each for each, _ in made], others, text, asked.base or BASE, left_out)


def none_matches(packs: Sequence[Pack], left_out: Mapping[str, str]) -> BuildFailed:
    looked = "\n".join(f"  {pack.name}: {pack.detect.looks_for()}" for pack in packs if pack.detect)
    if left_out:
        looked += "\nBuildpacks of this server that are broken, and were left out:\n"
        looked += "\n".join(f"  {name}: {why}" for name, why in left_out.items())
    return BuildFailed(
        "The pushed tree has no Dockerfile at its top, and no buildpack recognises it. Looked for:\n" + looked,
        hint="Three ways on: add a Dockerfile; choose a pack (buildpacks:set APP python); or add a Procfile, one line:"
        " web: ./start",
    )


def _apply(pack: Pack, why: str, tree: Tree, asked: Asked, *, last: bool) -> tuple[Applied, _Found]:
    seen = Seen(View(tree))
    facts: dict[str, Fact] = {}
    seen.facts = facts
    for name, cases in pack.facts.items():
        fact = _fact(cases, seen)
        if fact is not None:
            facts[name] = fact
    chosen = {language.name: versions.choose(language, seen) for language in pack.languages}

    def say(text: str) -> str:
        return printable(render.line(pack, text, facts, chosen))

    for refused in pack.refuse:
        if _holds(refused, seen):
            raise InvalidInput(say(refused.text), hint=say(refused.hint) or None)
    commands = {
        kind: render.line(pack, case.text, facts, chosen)
        for kind, cases in pack.processes.items()
        if (case := _first(cases, seen))
    }
    web = asked.web or commands.get("web", "")
    if not web and last and pack.processes.get("web", pack.no_start):
        example = _first(pack.no_start, seen)
        raise BuildFailed(
            f"The buildpack {pack.name} found nothing to start",
            hint=say(example.text) if example else "Say it in a Procfile: web: COMMAND",
        )
    says = [say(case.text) for case in pack.says if _holds(case, seen)]
    told = {name: _version(each) for name, each in chosen.items()}
    offers = {kind: printable(command) for kind, command in commands.items() if kind != "web"}
    texts = {name: printable(fact or fact.file) for name, fact in facts.items()}
    applied = Applied(pack.name, printable(why), told, texts, printable(web), says, offers)
    return applied, _Found(pack, chosen, facts, web)


def _version(chosen: Chosen) -> Version:
    here = ", ".join(offer.text for offer in chosen.language.offers if offer.local)
    offer = chosen.offer
    return Version(chosen.language.title, offer.text, offer.image, printable(chosen.why), "" if offer.local else here)


def _dockerfile(applied: Sequence[_Found], asked: Asked, known: Catalog) -> str:
    parts, before = [], ""
    for number, each in enumerate(applied):
        others = [later.pack.name for later in applied[number + 1 :]]
        own = asked if not others else replace(asked, web="")
        input = Input(each.pack, asked.base or BASE, each.versions, each.facts, own, each.web, before, others)
        text = render.dockerfile(input, known.shared)
        before = f"{each.pack.name}-build"
        if others and f" AS {before}\n" not in text:
            raise InvalidInput(
                f"The buildpack {each.pack.name} can only be the last one",
                hint=f"Its {each.pack.name}/Dockerfile.j2 has no stage {before} to go on from.",
            )
        parts.append(text)
    return "\n".join(parts)


def _fact(cases: Sequence[Case], seen: Seen) -> Fact | None:
    for case in cases:
        if not _holds(case, seen):
            continue
        if case.read is None:
            return Fact(case.text)
        found = case.read.read(seen)
        if found is not None:
            return found
    return None


def _first(cases: Sequence[Case], seen: Seen) -> Case | None:
    return next((case for case in cases if _holds(case, seen)), None)


def _holds(case: Case, seen: Seen) -> bool:
    return case.when is None or case.when.holds(seen) is not None
