"""Build checks: what works, and is likely not what was meant. Pure.

After BuildKit's `frontend/dockerfile/linter`, with its rules' names. What its InvalidBaseImagePlatform asks of an
image cannot be told from the text. Warnings name variables and never show their values: one may be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from paas.build.dockerfile import file_checks, from_checks, stage_checks
from paas.build.dockerfile.check_settings import CheckSettings, check_settings
from paas.build.dockerfile.errors import Span
from paas.build.dockerfile.parser import Dockerfile

__all__ = ["CheckSettings", "Warning", "check", "check_settings"]


@dataclass(frozen=True, slots=True)
class Warning:
    rule: str
    span: Span
    message: str
    filename: str = "Dockerfile"

    @property
    def text(self) -> str:
        return f"{self.filename}:{self.span.first}: {self.rule}: {self.message}"


def check(
    dockerfile: Dockerfile,
    arguments: Mapping[str, str],
    ignored: Callable[[str], bool] | None = None,
    *,
    image_variables: Callable[[str], Iterable[str] | None] | None = None,
) -> list[Warning]:
    """The warnings that the file's settings ask for, in the order of its lines. Raises DockerfileError for settings
    that cannot be read.

    `arguments` are the build's. `ignored` tells what .dockerignore leaves out; give None where it has exceptions,
    since a source that is left out may then contain what is not. `image_variables` tells the names of an image's
    variables, None for an image that is not known; without it an image has PATH.
    """
    settings = check_settings(dockerfile.text, arguments)
    found = [
        *file_checks.of_file(dockerfile),
        *from_checks.of_froms(dockerfile, arguments),
        *stage_checks.of_stages(dockerfile, arguments, ignored, image_variables or (lambda name: ("PATH",))),
    ]
    warnings = [
        Warning(rule, span, message, dockerfile.text.filename)
        for rule, span, message in dict.fromkeys(found)
        if settings.wants(rule)
    ]
    return sorted(warnings, key=lambda warning: (warning.span.first, warning.rule))
