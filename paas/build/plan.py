"""Which stages a build needs, and what stage names mean. Pure."""

from __future__ import annotations

from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.parser import Dockerfile


def find_stage(dockerfile: Dockerfile, name: str, before: int) -> int | None:
    """The index of the stage with this name (in any case) or number, among those before `before`.

    Of several with one name it is the last.
    """
    for stage in reversed(dockerfile.stages[:before]):
        if stage.name is not None and stage.name == name.lower():
            return stage.index
    return int(name) if name.isascii() and name.isdigit() and int(name) < before else None


def needed(dockerfile: Dockerfile, target: int) -> list[ins.Stage]:
    """The target stage and those it depends on, in the file's order."""
    wanted: set[int] = set()
    queue = [target]
    while queue:
        index = queue.pop()
        if index in wanted:
            continue
        wanted.add(index)
        found = (find_stage(dockerfile, name, index) for name in _references(dockerfile.stages[index]))
        queue += [other for other in found if other is not None]
    return [stage for stage in dockerfile.stages if stage.index in wanted]


def _references(stage: ins.Stage) -> list[str]:
    names = [] if stage.base.image.isdigit() else [stage.base.image]
    for instruction in stage.instructions:
        if isinstance(instruction, ins.Copy) and instruction.from_stage:
            names.append(instruction.from_stage)
        if isinstance(instruction, ins.Run):
            names += [mount["from"] for mount in instruction.mounts if "from" in mount]
    return names
