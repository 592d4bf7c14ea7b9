"""The builder: a tree with a Dockerfile in, an image out. Finished steps stay cached although a later one fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from paas.build import keys
from paas.build.context import Context
from paas.build.copying import Attributes, is_directory, open_directory
from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.expansion import ExpansionError, expand
from paas.build.dockerfile.parser import Dockerfile, parse, parse_trigger
from paas.build.layering import Layering
from paas.build.plan import find_stage, needed
from paas.build.stage import DEFAULT_SHELL, Stage
from paas.build.steps import metadata
from paas.build.steps.copy import Copied, copy
from paas.build.steps.run import Runner
from paas.errors import BuildFailed, Cancelled, InvalidInput, NotFound
from paas.image.store import ImageStore
from paas.model import HistoryEntry, Image, ImageConfig, Layer
from paas.output import Output
from paas.source.tree import GitTree
from paas.system.mounts import architecture

DOCKERFILE = "Dockerfile"
_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Built:
    """A finished stage."""

    layers: tuple[Layer, ...]
    stage: Stage


class Builder:
    def __init__(self, store: ImageStore, layering: Layering, runner: Runner) -> None:
        self._store = store
        self._layering = layering
        self._runner = runner

    def build(
        self,
        tree: GitTree,
        out: Output,
        cancelled: Callable[[], bool],
        arguments: Mapping[str, str] | None = None,
    ) -> Image:
        """Build the last stage of the tree's Dockerfile. Raises BuildFailed (with the line), Cancelled."""
        dockerfile = parse(_read_dockerfile(tree), DOCKERFILE)
        run = _Build(
            self._store, self._layering, self._runner, dockerfile, Context(tree), out, cancelled, arguments or {}
        )
        return run.run()


class _Build:
    """One run of the builder."""

    def __init__(
        self,
        store: ImageStore,
        layering: Layering,
        runner: Runner,
        dockerfile: Dockerfile,
        context: Context,
        out: Output,
        cancelled: Callable[[], bool],
        arguments: Mapping[str, str],
    ) -> None:
        self._store = store
        self._layering = layering
        self._runner = runner
        self._dockerfile = dockerfile
        self._context = context
        self._out = out
        self._cancelled = cancelled
        self._arguments = arguments
        self._globals = _global_arguments(dockerfile, arguments)
        self._built: dict[int, Built] = {}
        self._created = datetime.fromtimestamp(context.time, UTC).isoformat().replace("+00:00", "Z")
        self._step = 0
        self._steps = 0

    def run(self) -> Image:
        stages = needed(self._dockerfile, len(self._dockerfile.stages) - 1)
        self._steps = sum(1 + len(stage.instructions) for stage in stages)
        for stage in stages:
            self._built[stage.index] = self._build_stage(stage)
        last = self._built[stages[-1].index]
        config = last.stage.config
        return self._store.add_image(config, last.layers, last.stage.history, self._created)

    def _build_stage(self, declared: ins.Stage) -> Built:
        stage = self._begin(declared)
        for instruction in declared.instructions:
            self._carry_out(instruction, stage)
        return Built(tuple(stage.layers), stage)

    def _begin(self, declared: ins.Stage) -> Stage:
        """FROM: what the stage begins with; then the triggers its base image carries."""
        self._announce(declared.base)
        name = self._expand_global(declared.base.image, declared.base)
        config, layers, history = self._base(name, declared)
        stage = Stage(self._dockerfile, self._created, list(layers), config, list(history))
        stage.shell = config.shell or DEFAULT_SHELL
        triggers, stage.config = config.onbuild, replace(config, onbuild=())
        for trigger in triggers:
            try:
                instruction = parse_trigger(trigger)
            except BuildFailed as error:
                raise self._dockerfile.error(
                    declared.base.span, f"a trigger of {name} is wrong: {error.message}"
                ) from None
            self._steps += 1
            self._carry_out(replace(instruction, span=declared.base.span), stage)
        return stage

    def _base(self, name: str, declared: ins.Stage) -> tuple[ImageConfig, Sequence[Layer], Sequence[HistoryEntry]]:
        earlier = find_stage(self._dockerfile, name, before=declared.index)
        if earlier is not None:
            done = self._built[earlier].stage
            return done.config, done.layers, done.history
        if name == "scratch":
            return ImageConfig(), (), ()
        try:
            image = self._store.find(name)
        except (NotFound, InvalidInput) as error:
            raise self._dockerfile.error(declared.base.span, error.message, error.hint) from None
        return image.config, image.layers, image.history

    def _carry_out(self, instruction: ins.Instruction, stage: Stage) -> None:
        if self._cancelled():
            raise Cancelled("The build was cancelled")
        self._announce(instruction)
        started = time.monotonic()
        match instruction:
            case ins.Copy():
                done = copy(instruction, stage, self._context, self._layering, self._layers_of(instruction, stage))
            case ins.Run():
                done = self._runner.run(instruction, stage, self._out, self._cancelled)
            case ins.Workdir():
                done = self._workdir(instruction, stage)
            case ins.Arg():
                metadata.declare(instruction, stage, self._arguments, self._globals)
                return
            case _:
                metadata.apply(instruction, stage)
                return
        stage.add(done.layer, instruction.source)
        self._out.line(" ---> CACHED" if done.cached else f" ---> {time.monotonic() - started:.2f}s")

    def _workdir(self, instruction: ins.Workdir, stage: Stage) -> Copied:
        """WORKDIR makes the directory where it is missing."""
        path = stage.absolute(stage.expand(instruction.value, instruction.span)).rstrip("/") or "/"
        stage.set(workdir=path)
        key = keys.digest("workdir", stage.chain, path)
        known = self._layering.cached(key)
        if known is not None:
            return Copied(known, cached=True)
        attributes = Attributes((0, 0), None, self._context.time * 1_000_000_000)

        def make(root: int) -> None:
            if not is_directory(root, path):
                os.close(open_directory(root, path, attributes))

        try:
            identity = keys.digest(key, self._context.time)
            return Copied(self._layering.change(stage.layers, key, identity, make), cached=False)
        except BuildFailed as error:
            raise stage.error(instruction.span, error.message, error.hint) from None

    def _layers_of(self, instruction: ins.Copy, stage: Stage) -> Callable[[str], Sequence[Layer]]:
        """What `--from=NAME` means: a stage before this one by name or number, else an image."""

        def find(name: str) -> Sequence[Layer]:
            index = find_stage(self._dockerfile, name, before=max(self._built, default=-1) + 1)
            if index is not None and index in self._built:
                return self._built[index].layers
            try:
                return self._store.find(name).layers
            except (NotFound, InvalidInput) as error:
                raise stage.error(instruction.span, error.message, error.hint) from None

        return find

    def _announce(self, instruction: ins.Instruction) -> None:
        self._step += 1
        self._out.line(f"Step {self._step}/{self._steps} : {instruction.source}")

    def _expand_global(self, word: str, base: ins.From) -> str:
        try:
            return expand(word, self._globals, self._dockerfile.text.escape)
        except ExpansionError as error:
            raise self._dockerfile.error(base.span, error.message) from None


def _read_dockerfile(tree: GitTree) -> bytes:
    entry = tree.entry(DOCKERFILE)
    if entry is None:
        names = [child.name for child in tree.list(tree.root) if child.name.lower() == DOCKERFILE.lower()]
        hint = (
            f"There is {names[0]}; the name must be {DOCKERFILE}."
            if names
            else f"Add one and commit it: git add {DOCKERFILE}"
        )
        raise BuildFailed(f"The pushed tree has no {DOCKERFILE} at its top", hint=hint)
    if entry.kind != "file":
        what = {"dir": "a directory", "link": "a symlink", "submodule": "a submodule"}[entry.kind]
        raise BuildFailed(f"{DOCKERFILE} is {what}, not a file", hint="Replace it by the file itself.")
    try:
        return tree.read(entry, _LIMIT)
    except InvalidInput as error:
        raise BuildFailed(f"{DOCKERFILE} cannot be read: {error.message}") from None


def _global_arguments(dockerfile: Dockerfile, given: Mapping[str, str]) -> dict[str, str]:
    """The ARGs before the first FROM, with platform arguments."""
    values = dict(_platform_arguments())
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


def _platform_arguments() -> dict[str, str]:
    """What BuildKit defines before the first FROM; a stage sees them when it declares them."""
    arch = architecture()
    names = {"PLATFORM": f"linux/{arch}", "OS": "linux", "ARCH": arch, "VARIANT": ""}
    return {f"{side}{name}": value for side in ("TARGET", "BUILD") for name, value in names.items()}
