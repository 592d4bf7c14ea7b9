"""A pack's template and what was found out -> a Dockerfile. The template runs in Jinja's sandbox, whoever wrote it."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from paas.buildpacks.pack import TEMPLATE, Pack
from paas.buildpacks.rules import Fact
from paas.buildpacks.versions import Chosen
from paas.errors import InvalidInput

_LONGEST = 256 << 10
"""Characters of a rendered Dockerfile."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the app itself says about its build."""

    web: str = ""
    """The command of its Procfile or paas.yml."""
    apt: tuple[str, ...] = ()
    """Debian packages."""
    secrets: tuple[str, ...] = ()
    """Config vars that the build may see."""
    base: str = ""
    """The image for stages that need no language; '' for the usual one."""


@dataclass(frozen=True, slots=True)
class Input:
    """What a template is given; its names there are those of the fields."""

    pack: Pack
    base: str
    """The image for stages that need no language."""
    versions: Mapping[str, Chosen]
    facts: Mapping[str, Fact]
    asked: Asked
    web: str
    """The command that starts it: the app's own, else the pack's."""
    before: str = ""
    """The stage whose /app an earlier pack has prepared; '' for the tree as it was pushed."""
    others: Sequence[str] = field(default=())
    """The packs that come after this one."""


def dockerfile(input: Input, shared: Mapping[str, str]) -> str:
    """Raises InvalidInput with the template's file and line."""
    pack = input.pack
    values = _values(input)
    environment = _known_environment(tuple({**shared, **pack.templates}.items()))
    try:
        text = environment.get_template(TEMPLATE).render(values)
    except TemplateSyntaxError as error:
        raise _syntax(pack, error.name or TEMPLATE, error) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        file, line = _place(error)
        raise InvalidInput(f"{_folder(pack, file)}/{file}:{line}: {str(error)[:200]}") from None
    if len(text) > _LONGEST:
        raise InvalidInput(f"{pack.folder}/{TEMPLATE} makes a Dockerfile of more than {_LONGEST} characters")
    return text.strip("\n") + "\n"


def check(pack: Pack) -> None:
    """Whether its templates can be read at all. Raises InvalidInput with file and line."""
    environment = _environment({})
    for file, text in pack.templates.items():
        try:
            environment.parse(text)
        except TemplateSyntaxError as error:
            raise _syntax(pack, file, error) from None


def _syntax(pack: Pack, file: str, error: TemplateSyntaxError) -> InvalidInput:
    return InvalidInput(f"{_folder(pack, file)}/{file}:{error.lineno}: {error.message}")


def _folder(pack: Pack, file: str) -> str:
    return pack.folder if file in pack.templates else "buildpacks/_shared"


def line(pack: Pack, text: str, facts: Mapping[str, Fact], versions: Mapping[str, Chosen]) -> str:
    """A command or message of a pack with its values. Raises InvalidInput."""
    environment = _environment({"text": text})
    try:
        return environment.get_template("text").render(facts=_facts(facts), versions=_versions(versions))[:4000]
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError, MemoryError) as error:
        raise InvalidInput(f"{pack.file}: {text[:60]!r}: {str(error)[:200]}") from None


@functools.lru_cache(maxsize=16)
def _known_environment(templates: tuple[tuple[str, str], ...]) -> ImmutableSandboxedEnvironment:
    """It compiles each template once, which takes longer than a push's own work; templates can change nothing in it."""
    return _environment(dict(templates))


def _environment(templates: Mapping[str, str]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        loader=DictLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"sh": lambda text: shlex.quote(str(text)), "json": lambda value: json.dumps(value)}
    return environment


def _values(input: Input) -> dict[str, Any]:
    return {
        "pack": input.pack.name,
        "base": input.base,
        "versions": _versions(input.versions),
        "facts": _facts(input.facts),
        "web": input.web,
        "own_web": bool(input.asked.web),
        "apt_packages": list(input.asked.apt),
        "secrets": list(input.asked.secrets),
        "port": input.pack.port,
        "before": input.before,
        "last": not input.others,
    }


def _facts(facts: Mapping[str, Fact]) -> dict[str, Any]:
    return {
        name: {"text": str(fact), "file": fact.file, "module": fact.module, "folder": fact.folder}
        for name, fact in facts.items()
    }


def _versions(versions: Mapping[str, Chosen]) -> dict[str, Any]:
    return {
        name: {
            "text": chosen.offer.text,
            "wanted": str(chosen.wanted or ""),
            "image": chosen.offer.image,
            "local": chosen.offer.local,
            "packages": list(chosen.offer.packages),
            "build_packages": list(chosen.offer.build_packages),
            "title": chosen.language.title,
        }
        for name, chosen in versions.items()
    }


def _place(error: BaseException) -> tuple[str, int]:
    """(template, line): Jinja gives its frames the template's name and lines."""
    place, trace = (TEMPLATE, 1), error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.endswith(".j2") or name == "<template>":
            place = TEMPLATE if name == "<template>" else name.rpartition("/")[2], trace.tb_lineno
        trace = trace.tb_next
    return place
