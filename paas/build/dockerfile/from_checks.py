"""Build checks of FROM: its arguments, image and platform. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import ExpansionError
from paas.build.dockerfile.expansion import Expanded, analyse
from paas.build.dockerfile.file_checks import Finding
from paas.build.dockerfile.line import did_you_mean
from paas.build.dockerfile.parser import Dockerfile
from paas.build.dockerfile.references import is_reference

_PLATFORM = {
    f"{side}{name}": value
    for side in ("TARGET", "BUILD")
    for name, value in (("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64"), ("VARIANT", ""))
}
"""What FROM may use undeclared; the machine's own values make no difference to a check."""
_ARCHITECTURES = "386 amd64 arm arm64 loong64 mips64le ppc64le riscv64 s390x wasm"
_FEW = 100
"""Names among which a similar one is looked for: a file full of wrong ones is not to take long."""
_PLATFORM_WORD = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){0,2}")


def of_froms(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> Iterator[Finding]:
    values, declared = global_values(dockerfile, arguments)
    defaults, _ = global_values(dockerfile, {})
    for stage in dockerfile.stages:
        base = stage.base
        for word in filter(None, (base.image, base.platform)):
            for name in sorted(expanded(dockerfile, word, values).missing - declared):
                message = f"FROM argument '{name}' is not declared{meant(name, declared)}"
                yield "UndefinedArgInFrom", base.span, message
        if not _may_be_image(dockerfile, base.image, defaults):
            message = f"Default value for ARG {base.image} results in empty or invalid base image name"
            yield "InvalidDefaultArgInFrom", base.span, message
        if base.platform:
            yield from _platform(dockerfile, stage, values)


def _may_be_image(dockerfile: Dockerfile, word: str, defaults: Mapping[str, str]) -> bool:
    """A word that cannot be expanded, such as `${X:?}`, demands a value: then there is no default to be wrong."""
    try:
        return is_reference(analyse(word, defaults, dockerfile.text.escape).text)
    except ExpansionError:
        return True


def _platform(dockerfile: Dockerfile, stage: ins.Stage, values: Mapping[str, str]) -> Iterator[Finding]:
    base = stage.base
    found = expanded(dockerfile, base.platform, values)
    if found.used == {"TARGETPLATFORM"} and not found.missing and found.text == values["TARGETPLATFORM"]:
        message = f"Setting platform to predefined {base.platform} in FROM is redundant as this is the default behavior"
        yield "RedundantTargetPlatform", base.span, message
    if found.used or found.missing or not _PLATFORM_WORD.fullmatch(found.text):
        return
    parts = found.text.split("/")
    if len(parts) == 1:
        parts = ["linux", *parts] if parts[0] in _ARCHITECTURES.split() else [*parts, values["TARGETARCH"]]
    if not any(part in (stage.name or "") for part in parts[:2]):
        message = f'FROM --platform flag should not use constant value "{found.text}"'
        yield "FromPlatformFlagConstDisallowed", base.span, message


def global_values(dockerfile: Dockerfile, arguments: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """The values before the first FROM, and all names that may be used there."""
    values = dict(_PLATFORM)
    declared = set(values)
    for instruction in dockerfile.global_args:
        for name, default in instruction.arguments:
            declared.add(name)
            if name in arguments:
                values[name] = arguments[name]
            elif default is not None:
                values[name] = expanded(dockerfile, default, values).text
    return values, declared


def expanded(dockerfile: Dockerfile, word: str, values: Mapping[str, str], *, is_body: bool = False) -> Expanded:
    """A word that cannot be expanded will be refused by the build itself: here it is one that uses nothing."""
    try:
        return analyse(word, values, "\\" if is_body else dockerfile.text.escape, quotes=not is_body)
    except ExpansionError:
        return Expanded(word, (word,), frozenset(), frozenset())


def meant(name: str, known: Collection[str], form: str = "{}") -> str:
    hint = did_you_mean(name, sorted(known), form) if len(known) <= _FEW else None
    return f" ({hint[0].lower()}{hint[1:]})" if hint else ""
