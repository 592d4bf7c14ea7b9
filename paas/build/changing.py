"""Changes of an image's config without a build: `commit --change` and `import --change`."""

from __future__ import annotations

from collections.abc import Sequence

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.parser import parse
from paas.build.stage import DEFAULT_SHELL, Stage
from paas.build.steps.metadata import apply
from paas.errors import InvalidInput
from paas.model import ImageConfig

_CHANGES = (
    ins.Cmd,
    ins.Entrypoint,
    ins.Env,
    ins.Expose,
    ins.Healthcheck,
    ins.Label,
    ins.Onbuild,
    ins.Stopsignal,
    ins.User,
    ins.Volume,
    ins.Workdir,
)


def changed(config: ImageConfig, lines: Sequence[str]) -> ImageConfig:
    """The config after these lines of a Dockerfile. Raises InvalidInput; BuildFailed for one that cannot be used."""
    if not lines:
        return config
    dockerfile = parse("\n".join(["FROM scratch", *lines]).encode(), "--change")
    if len(dockerfile.stages) != 1:
        raise InvalidInput("--change takes no FROM")
    stage = Stage(dockerfile, "", config=config, shell=config.shell or DEFAULT_SHELL, cmd_is_own=True)
    for instruction in dockerfile.stages[0].instructions:
        if not isinstance(instruction, _CHANGES):
            known = ", ".join(kind.__name__.upper() for kind in _CHANGES)
            raise stage.error(instruction.span, "this cannot be changed without a build", f"Known: {known}")
        if isinstance(instruction, ins.Workdir):
            stage.set(workdir=stage.absolute(stage.expand(instruction.value, instruction.span)).rstrip("/") or "/")
        else:
            apply(instruction, stage)
    return stage.config
