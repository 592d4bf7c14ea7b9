"""Build arguments: which values ARG has, before the first FROM and in a stage. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.expansion import ExpansionError, expand
from paas.build.dockerfile.parser import Dockerfile
from paas.build.options import PROXIES
from paas.system.mounts import architecture

PREDEFINED = frozenset(
    [
        *PROXIES,
        *(name.lower() for name in PROXIES),
        "SOURCE_DATE_EPOCH",
        "BUILDKIT_BUILD_NAME",
        "BUILDKIT_CACHE_MOUNT_NS",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_DOCKERFILE_CHECK",
        "BUILDKIT_INLINE_CACHE",
        "BUILDKIT_MULTI_PLATFORM",
        "BUILDKIT_SANDBOX_HOSTNAME",
        "BUILDKIT_SYNTAX",
    ]
)
"""May be given although no ARG declares them (Dockerfile reference, "Predefined ARGs" and "BuildKit built-in ...")."""


def global_values(dockerfile: Dockerfile, given: Mapping[str, str]) -> dict[str, str]:
    """The ARGs before the first FROM, with platform arguments. Raises DockerfileError."""
    values = platform_arguments(dockerfile, given)
    for instruction in dockerfile.global_args:
        for name, default in instruction.arguments:
            if name in given:
                values[name] = given[name]
            elif default is not None:
                try:
                    values[name] = expand(default, values, dockerfile.text.escape)
                except ExpansionError as error:
                    raise dockerfile.error(instruction.span, error.message) from None
    return values


def platform_arguments(dockerfile: Dockerfile, given: Mapping[str, str]) -> dict[str, str]:
    """What BuildKit defines before the first FROM; a stage sees them when it declares them."""
    arch = architecture()
    names = {"PLATFORM": f"linux/{arch}", "OS": "linux", "ARCH": arch, "VARIANT": ""}
    found = {f"{side}{name}": value for side in ("TARGET", "BUILD") for name, value in names.items()}
    found["TARGETSTAGE"] = given.get("TARGETSTAGE", "") or "default"
    return {name: given.get(name, value) for name, value in found.items()}


def declared(dockerfile: Dockerfile) -> set[str]:
    """Every name that an ARG declares anywhere."""
    instructions = [*dockerfile.global_args, *(i for stage in dockerfile.stages for i in stage.instructions)]
    return {name for i in instructions if isinstance(i, ins.Arg) for name, _ in i.arguments}
