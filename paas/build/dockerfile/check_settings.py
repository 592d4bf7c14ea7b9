"""Which build checks are wanted: `# check=skip=RuleA,RuleB;error=true`. Pure.

After the Dockerfile reference ("check") and BuildKit's `frontend/dockerfile/linter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.build.dockerfile.errors import Span
from paas.build.dockerfile.line import did_you_mean
from paas.build.dockerfile.lines import Text

ARGUMENT = "BUILDKIT_DOCKERFILE_CHECK"
"""The build argument that takes the directive's place."""
_EXPERIMENTAL = ("InvalidDefinitionDescription",)
_KEYS = ("skip", "error", "experimental")
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")
_ALL = "all"


@dataclass(frozen=True, slots=True)
class CheckSettings:
    skip: frozenset[str] = frozenset()
    """Names of rules, or `all`."""
    error: bool = False
    """Whether the build fails where there is a warning."""
    experimental: frozenset[str] = frozenset()
    """Rules to apply that are off by default, or `all`."""

    def wants(self, rule: str) -> bool:
        if rule in _EXPERIMENTAL:
            return bool(self.experimental & {rule, _ALL})
        return not self.skip & {rule, _ALL}


def check_settings(text: Text, arguments: Mapping[str, str]) -> CheckSettings:
    """From the build argument where it is given, else from the directive. Raises DockerfileError."""
    if ARGUMENT in arguments:
        return _parse(text, Span(1, 1), arguments[ARGUMENT], ARGUMENT)
    if text.check is not None:
        return _parse(text, text.check.span, text.check.value, "check")
    return CheckSettings()


def _parse(text: Text, span: Span, value: str, source: str) -> CheckSettings:
    skip, experimental, error = frozenset[str](), frozenset[str](), False
    for part in value.split(";") if value.strip() else ():
        key, equals, names = (piece.strip() for piece in part.partition("="))
        if not equals or key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or f"Example: {source}=skip=JSONArgsRecommended;error=true"
            raise text.error(span, f"{source}: {key[:40]!r} is not an option", hint)
        listed = frozenset(name.strip() for name in names.split(","))
        if key == "skip":
            skip = listed
        elif key == "experimental":
            experimental = listed
        elif names.lower() not in _TRUE + _FALSE:
            raise text.error(span, f"{source}: error={names[:40]} is not true or false")
        else:
            error = names.lower() in _TRUE
    return CheckSettings(skip, error, experimental)
