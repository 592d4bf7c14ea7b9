"""One stage from its FROM to its last instruction."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from paas.build import keys
from paas.build.bases import BaseImages
from paas.build.context import Context
from paas.build.copying import Attributes, is_directory, open_directory
from paas.build.dockerfile import instructions as ins
from paas.build.dockerfile.errors import Span
from paas.build.dockerfile.expansion import ExpansionError, expand
from paas.build.dockerfile.parser import Dockerfile, parse_trigger
from paas.build.layering import Done, Layering
from paas.build.options import BuildOptions
from paas.build.plan import find_stage
from paas.build.progress import StageLog
from paas.build.stage import DEFAULT_SHELL, Stage
from paas.build.steps import metadata
from paas.build.steps.copy import copy
from paas.build.steps.remote import Fetcher
from paas.build.steps.run import Runner
from paas.errors import BuildFailed, Cancelled, InvalidInput, PaasError
from paas.image.passwd import resolve_user
from paas.model import DEFAULT_PATH, HistoryEntry, Image, ImageConfig, Layer
from paas.names import shown
from paas.runtime.steps import Deadline
from paas.system.mounts import architecture


@dataclass(frozen=True, slots=True)
class Built:
    """A finished stage."""

    layers: tuple[Layer, ...]
    stage: Stage


@dataclass(frozen=True, slots=True)
class Shared:
    """What a stage gets from its build."""

    dockerfile: Dockerfile
    declared: ins.Stage
    context: Context
    options: BuildOptions
    layering: Layering
    bases: BaseImages
    fetcher: Fetcher
    log: StageLog
    deadline: Deadline
    globals: Mapping[str, str]
    stages: Collection[int]
    """Those that are built."""
    result: Callable[[int], Built]
    """What one of them came to, once it is done."""
    first_step: int
    total_steps: int
    cancelled: Callable[[], bool]


class StageBuild:
    def __init__(self, shared: Shared, runner: Runner) -> None:
        self._shared = shared
        self._dockerfile = shared.dockerfile
        self._runner = runner
        self._step = shared.first_step

    def run(self) -> Built:
        """Raises BuildFailed (with the line), Cancelled."""
        stage = self._begin(self._shared.declared)
        for instruction in self._shared.declared.instructions:
            self._announce(instruction)
            self._carry_out(instruction, stage)
        return Built(tuple(stage.layers), stage)

    def _announce(self, instruction: ins.Instruction) -> None:
        self._shared.log.step(self._step, self._shared.total_steps, instruction.source)
        self._step += 1

    def _begin(self, declared: ins.Stage) -> Stage:
        """FROM: what the stage begins with; then the triggers its base image carries."""
        self._announce(declared.base)
        base = declared.base
        name = self._expand_global(base.image, base.span)
        if not name:
            raise self._dockerfile.error(base.span, f"{base.image} is empty: FROM needs an image")
        self._check_platform(self._expand_global(base.platform, base.span), base.span)
        config, layers, history = self._base(name, declared)
        stage = Stage(self._dockerfile, "", list(layers), config, list(history))
        stage.shell = config.shell or DEFAULT_SHELL
        stage.arguments.update(self._inherited(name, declared))
        triggers, stage.config = config.onbuild, replace(config, onbuild=())
        for trigger in triggers:
            try:
                instruction = parse_trigger(trigger)
            except BuildFailed as error:
                raise self._dockerfile.error(base.span, f"a trigger of {name} is wrong: {error.message}") from None
            self._shared.log.trigger(instruction.source)
            self._carry_out(replace(instruction, span=base.span), stage)
        return stage

    def _inherited(self, name: str, declared: ins.Stage) -> dict[str, str]:
        """The arguments of the stage that this one is based on, and those that no stage has to declare."""
        given = self._shared.options.arguments
        earlier = self._earlier(name, declared)
        known = self._shared.result(earlier).stage.arguments if earlier is not None else {}
        return {**known, **{key: given[key] for key in ("SOURCE_DATE_EPOCH",) if key in given}}

    def _earlier(self, name: str, declared: ins.Stage) -> int | None:
        return None if name.isdigit() else find_stage(self._dockerfile, name, before=declared.index)

    def _check_platform(self, platform: str, span: Span) -> None:
        here = f"linux/{architecture()}"
        if platform and platform.removesuffix("/v8") not in (here, architecture()):
            raise self._dockerfile.error(
                span, f"--platform={platform} cannot be built here", f"This machine builds for {here}."
            )

    def _base(self, name: str, declared: ins.Stage) -> tuple[ImageConfig, Sequence[Layer], Sequence[HistoryEntry]]:
        earlier = self._earlier(name, declared)
        if earlier is not None:
            done = self._shared.result(earlier).stage
            return done.config, done.layers, done.history
        if name == "scratch":
            return ImageConfig(env={"PATH": DEFAULT_PATH}), (), ()
        try:
            image = self._image(name)
        except Cancelled:
            raise
        except PaasError as error:
            hint = self._dockerfile.similar_stage(name) or error.hint
            raise self._dockerfile.error(declared.base.span, error.message, hint) from None
        return image.config, image.layers, image.history

    def _image(self, name: str) -> Image:
        shared = self._shared
        image = shared.bases.find(
            name,
            lease=shared.layering.lease,
            say=shared.log.note,
            cancelled=self._is_over,
            refresh=shared.options.pull,
            trusted=shared.options.is_trusted,
            allowed=shared.options.images,
        )
        shared.layering.refuse_damaged(image)
        return image

    def _is_over(self) -> bool:
        """A registry may be slow for ever. Raises Conflict when the build's time has passed."""
        self._shared.deadline.check()
        return self._shared.cancelled()

    def _carry_out(self, instruction: ins.Instruction, stage: Stage) -> None:
        shared = self._shared
        if shared.cancelled():
            raise Cancelled("The build was cancelled")
        started = time.monotonic()
        with shared.log.clock():
            done = self._done(instruction, stage)
        if done is not None:
            stage.add(done.layers, instruction.source)
            shared.log.done(cached=done.cached, seconds=time.monotonic() - started)

    def _done(self, instruction: ins.Instruction, stage: Stage) -> Done | None:
        """Carry out an instruction; None for one that changes the config only."""
        shared = self._shared
        match instruction:
            case ins.Copy():
                find = self._finder(instruction.span, stage)
                return copy(instruction, stage, shared.context, shared.layering, find, shared.fetcher)
            case ins.Run():
                find = self._finder(instruction.span, stage)
                return self._runner.run(instruction, stage, shared.log.output, find)
            case ins.Workdir():
                return self._workdir(instruction, stage)
            case ins.Arg():
                metadata.declare(instruction, stage, shared.options.arguments, shared.globals)
            case _:
                metadata.apply(instruction, stage)
        return None

    def _workdir(self, instruction: ins.Workdir, stage: Stage) -> Done:
        """WORKDIR makes the directory where it is missing; it belongs to the user of the stage."""
        layering, time = self._shared.layering, self._shared.context.time
        path = stage.absolute(stage.expand(instruction.value, instruction.span)).rstrip("/") or "/"
        stage.set(workdir=path)
        key = keys.digest("workdir", stage.chain, path, stage.config.user)
        known = layering.cached(key)
        if known is not None:
            return known

        def make(root: int) -> None:
            if not is_directory(root, path):
                user = resolve_user(root, stage.config.user)
                attributes = Attributes((user.uid, user.gid), None, time * 1_000_000_000)
                os.close(open_directory(root, path, attributes))

        try:
            return layering.change(stage.layers, key, keys.digest(key, time), make)
        except (BuildFailed, InvalidInput) as error:
            raise stage.error(instruction.span, error.message, error.hint) from None

    def _finder(self, span: Span, stage: Stage) -> Callable[[str], Sequence[Layer]]:
        """What `--from=NAME` means: a stage before this one by name or number, else an image."""

        def find(name: str) -> Sequence[Layer]:
            index = find_stage(self._dockerfile, name, before=self._shared.declared.index)
            if index is not None and index in self._shared.stages:
                return self._shared.result(index).layers
            if name == "scratch":
                return ()
            if find_stage(self._dockerfile, name, before=len(self._dockerfile.stages)) is not None:
                raise stage.error(
                    span, f"There is no image {shown(name)}", f"Stage {shown(name)} stands further down; move it up."
                )
            try:
                return self._image(name).layers
            except Cancelled:
                raise
            except PaasError as error:
                hint = self._dockerfile.similar_stage(name) or error.hint
                raise stage.error(span, error.message, hint) from None

        return find

    def _expand_global(self, word: str, span: Span) -> str:
        try:
            return expand(word, self._shared.globals, self._dockerfile.text.escape)
        except ExpansionError as error:
            raise self._dockerfile.error(span, error.message) from None
