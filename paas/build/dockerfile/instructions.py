"""Typed instructions. Words that are subject to expansion are kept as written; see `expansion`."""

from __future__ import annotations

from dataclasses import dataclass

from paas.build.dockerfile.errors import Span
from paas.model import Healthcheck as HealthcheckConfig


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A here-document: `expand` unless its delimiter was quoted."""

    name: str
    content: str
    expand: bool


@dataclass(frozen=True, slots=True)
class Instruction:
    span: Span
    source: str
    """The instruction on one line, for display."""


@dataclass(frozen=True, slots=True)
class From(Instruction):
    image: str
    platform: str
    alias: str | None


@dataclass(frozen=True, slots=True)
class CommandForm:
    """`words` of the exec (JSON) form, or one text for the shell."""

    words: tuple[str, ...]
    for_shell: bool


@dataclass(frozen=True, slots=True)
class Run(Instruction):
    command: CommandForm
    heredocs: tuple[Heredoc, ...]
    mounts: tuple[dict[str, str], ...]
    """Each `--mount` as its keys, under one name each (see `mounts`); values are words yet to be expanded."""
    network: str
    security: str


@dataclass(frozen=True, slots=True)
class Cmd(Instruction):
    command: CommandForm


@dataclass(frozen=True, slots=True)
class Entrypoint(Instruction):
    command: CommandForm


@dataclass(frozen=True, slots=True)
class Pairs(Instruction):
    """ENV and LABEL: keys and values in order."""

    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False
    """Written in the old form, `KEY the value`."""


@dataclass(frozen=True, slots=True)
class Env(Pairs):
    pass


@dataclass(frozen=True, slots=True)
class Label(Pairs):
    pass


@dataclass(frozen=True, slots=True)
class Arg(Instruction):
    """Names with their default, None where there is none."""

    arguments: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Copy(Instruction):
    """COPY and ADD. `sources` and `destination` as written; `heredocs` are sources too."""

    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...]
    from_stage: str
    chown: str
    chmod: str
    exclude: tuple[str, ...]
    parents: bool
    link: bool


@dataclass(frozen=True, slots=True)
class Add(Copy):
    checksum: str
    keep_git_dir: bool
    unpack: bool | None
    """Whether archives are unpacked; None leaves that to where the source comes from."""


@dataclass(frozen=True, slots=True)
class Word(Instruction):
    """An instruction of one value: WORKDIR, USER, STOPSIGNAL, MAINTAINER."""

    value: str


@dataclass(frozen=True, slots=True)
class Workdir(Word):
    pass


@dataclass(frozen=True, slots=True)
class User(Word):
    pass


@dataclass(frozen=True, slots=True)
class Stopsignal(Word):
    pass


@dataclass(frozen=True, slots=True)
class Maintainer(Word):
    pass


@dataclass(frozen=True, slots=True)
class Expose(Instruction):
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume(Instruction):
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shell(Instruction):
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Healthcheck(Instruction):
    check: HealthcheckConfig


@dataclass(frozen=True, slots=True)
class Onbuild(Instruction):
    """`trigger` is an instruction with its here-documents, as `parse_trigger` reads it."""

    trigger: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One FROM and what follows it."""

    index: int
    base: From
    instructions: tuple[Instruction, ...]

    @property
    def name(self) -> str | None:
        return self.base.alias
