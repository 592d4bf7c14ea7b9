"""Cases as text: `cases/THEME.txt` holds any number of them, one idea each.

    === name                    a case begins
    @arg NAME=VALUE             a build argument (`@arg NAME` without a value is one too)
    @target NAME                the stage to build
    @crlf                       the Dockerfile's lines end with CR LF
    @instead KEY VALUE          what Docker gives where buildah gives something else: KEY is a path or a field of the
                                config, VALUE what `seen` makes of it, nothing for what is not there
    @because WHY                why that is what Docker does; needed with @instead
    @fails                      both refuse it
    @bug WHY                    what we do wrong today
    FROM localhost/base         then the Dockerfile, without a mark
    --- PATH [MODE]             a file; its content follows, `#!` makes it executable
    --> PATH TARGET             a symlink
    --= PATH OTHER              a hard link to a file of the context
    --/ PATH [MODE]             a directory
    --@ PATH NAME               an archive, or other odd bytes, of `archives`

A context with a file `Dockerfile.parent` has that built first, as `localhost/parent`. `%20` in a path is a space.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from tests.differential.archives import ARCHIVES

_CASES = Path(__file__).with_name("cases")
_MARKS = ("---", "-->", "--=", "--/", "--@")
_PARENT_FILE = "Dockerfile.parent"
BASE, PARENT = "localhost/base:latest", "localhost/parent:latest"


@dataclass(slots=True)
class Thing:
    """What is in a context: `kind` is its mark."""

    kind: str
    path: str
    word: str
    lines: list[str] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        return ARCHIVES[self.word]() if self.kind == "--@" else "".join(self.lines).encode()

    @property
    def mode(self) -> int:
        if self.word and self.kind != "--@":
            return int(self.word, 8)
        return 0o755 if self.kind == "--/" or self.content.startswith(b"#!") else 0o644

    @property
    def is_for_git(self) -> bool:
        return self.kind in ("-->", "--@") or (self.kind == "---" and self.mode in (0o644, 0o755))


@dataclass(slots=True)
class Case:
    name: str
    theme: str
    lines: list[str] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    arguments: dict[str, str | None] = field(default_factory=dict)
    target: str = ""
    crlf: bool = False
    fails: bool = False
    instead: dict[str, str] = field(default_factory=dict)
    because: str = ""
    bug: str = ""

    @property
    def dockerfile(self) -> str:
        text = "".join(self.lines)
        return text.replace("\n", "\r\n") if self.crlf else text

    @property
    def builds(self) -> list[tuple[str, str]]:
        """The Dockerfiles to build one after the other, each with the name that its image gets ('': none)."""
        parents = [(thing.content.decode(), PARENT) for thing in self.things if thing.path == _PARENT_FILE]
        return [*parents, (self.dockerfile, "")]

    @property
    def is_for_git(self) -> bool:
        """Whether a git tree can hold the context."""
        return all(thing.is_for_git for thing in self.things)

    def write(self, directory: Path, dockerfile: str) -> None:
        """The context with this Dockerfile in it, in place of whatever is in the directory."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        (directory / "Dockerfile").write_bytes(dockerfile.encode())
        for thing in self.things:
            path = directory / thing.path
            path.parent.mkdir(parents=True, exist_ok=True)
            match thing.kind:
                case "-->":
                    path.symlink_to(thing.word)
                    continue
                case "--=":
                    path.hardlink_to(directory / thing.word)
                    continue
                case "--/":
                    path.mkdir()
                case _:
                    path.write_bytes(thing.content)
            path.chmod(thing.mode)


def cases() -> list[Case]:
    """All of them. Raises ValueError for a text that is none."""
    found = [case for file in sorted(_CASES.glob("*.txt")) for case in _parse(file)]
    names = [f"{case.theme}-{case.name}" for case in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"several cases have the name {', '.join(sorted(twice))}")
    return found


def _parse(file: Path) -> Iterator[Case]:
    case: Case | None = None
    target: list[str] | None = None
    for line in file.read_text().splitlines(keepends=True):
        words = line.split()
        if words[:1] == ["==="]:
            if case is not None:
                yield _whole(case)
            case = Case(words[1], file.stem)
            target = case.lines
        elif case is None or target is None:
            raise ValueError(f"{file.name}: {line!r} stands before the first case")
        elif line.startswith("@") and not case.lines:
            _option(case, line.strip())
        elif words and words[0] in _MARKS:
            thing = Thing(words[0], unquote(words[1]), unquote(" ".join(words[2:])))
            case.things.append(thing)
            target = thing.lines
        else:
            target.append(line)
    if case is not None:
        yield _whole(case)


def _option(case: Case, line: str) -> None:
    name, _, rest = line.partition(" ")
    match name:
        case "@arg":
            key, equals, value = rest.partition("=")
            case.arguments[key] = value if equals else None
        case "@target":
            case.target = rest
        case "@crlf":
            case.crlf = True
        case "@fails":
            case.fails = True
        case "@instead":
            key, _, value = rest.partition(" ")
            case.instead[key] = value
        case "@because":
            case.because = rest
        case "@bug":
            case.bug = rest
        case _:
            raise ValueError(f"{case.name}: {name} is not known")


def _whole(case: Case) -> Case:
    """The case with the empty lines before the next one taken off."""
    last = case.things[-1].lines if case.things else case.lines
    while last and not last[-1].strip():
        last.pop()
    if bool(case.instead) != bool(case.because):
        raise ValueError(f"{case.name}: @instead and @because go together")
    return case
