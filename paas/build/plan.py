"""Which stages a build needs, and what stage names mean. Pure."""

from __future__ import annotations

from collections.abc import Callable

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.parser import Dockerfile

Expand = Callable[[str], str]


def find_stage(dockerfile: Dockerfile, name: str, before: int) -> int | None:
    """The index of the last stage with this name (in any case) or number, among those before `before`."""
    for stage in reversed(dockerfile.stages[:before]):
        if stage.name is not None and stage.name == name.lower():
            return stage.index
    return int(name) if name.isascii() and name.isdigit() and int(name) < before else None


def bases(dockerfile: Dockerfile, target: int, expand: Expand) -> dict[int, int | None]:
    """The stages that a target needs, in the file's order, each with the stage that it is based on (None: an image).

    `expand` replaces variables in the name of a base image.
    """
    found: dict[int, int | None] = {}
    queue = [target]
    while queue:
        index = queue.pop()
        if index in found:
            continue
        stage = dockerfile.stages[index]
        base = expand(stage.base.image)
        found[index] = None if base.isdigit() else find_stage(dockerfile, base, index)
        others = [found[index], *(find_stage(dockerfile, name, index) for name in _references(stage))]
        queue += [other for other in others if other is not None]
    return dict(sorted(found.items()))


def _references(stage: ins.Stage) -> list[str]:
    """What the instructions of a stage copy from or mount."""
    names = []
    for instruction in stage.instructions:
        if isinstance(instruction, ins.Copy) and instruction.from_stage:
            names.append(instruction.from_stage)
        if isinstance(instruction, ins.Run):
            names += [mount["from"] for mount in instruction.mounts if "from" in mount]
    return names
