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


def needs(dockerfile: Dockerfile, target: int, expand: Expand) -> dict[int, list[int]]:
    """The target stage and those it depends on, in the file's order, each with the stages that it needs itself.

    `expand` replaces variables in the name of a base image.
    """
    found: dict[int, list[int]] = {}
    queue = [target]
    while queue:
        index = queue.pop()
        if index in found:
            continue
        stage = dockerfile.stages[index]
        others = {find_stage(dockerfile, name, index) for name in _references(stage, expand)}
        found[index] = sorted(other for other in others if other is not None)
        queue += found[index]
    return dict(sorted(found.items()))


def _references(stage: ins.Stage, expand: Expand) -> list[str]:
    base = expand(stage.base.image)
    names = [] if base.isdigit() else [base]
    for instruction in stage.instructions:
        if isinstance(instruction, ins.Copy) and instruction.from_stage:
            names.append(instruction.from_stage)
        if isinstance(instruction, ins.Run):
            names += [mount["from"] for mount in instruction.mounts if "from" in mount]
    return names
