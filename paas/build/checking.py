"""The Dockerfile's checks and unused arguments, told before the build begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from paas.build import arguments
from paas.build.context import Context
from paas.build.dockerfile.checks import check, check_settings
from paas.build.dockerfile.parser import Dockerfile
from paas.build.options import BuildOptions
from paas.build.progress import Progress
from paas.errors import BuildFailed


def report(
    dockerfile: Dockerfile,
    options: BuildOptions,
    context: Context,
    progress: Progress,
    image_variables: Callable[[str], Iterable[str] | None],
) -> None:
    """Say what is doubtful. Raises BuildFailed where the Dockerfile's `check` directive wants that (error=true)."""
    ignored = None if context.has_exceptions else context.ignores
    found = check(dockerfile, options.arguments, ignored, image_variables=image_variables)
    for warning in found:
        progress.warn(warning.text)
    declared = arguments.declared(dockerfile) | arguments.PREDEFINED
    for name in sorted(set(options.arguments) - declared):
        progress.warn(f"The build argument {name} is given and no ARG declares it")
    if found and check_settings(dockerfile.text, options.arguments).error:
        raise BuildFailed(
            f"{len(found)} build check{'s' * (len(found) != 1)} failed, and the Dockerfile asks for error=true",
            hint="Mend what is named above, or leave rules out: # check=skip=RULE",
        )
