"""The builder: a tree with a Dockerfile in, an image out. Finished steps stay cached although a later one fails."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

from paas.build import arguments, checking
from paas.build.bases import BaseImages, LocalImages
from paas.build.context import Context
from paas.build.dockerfile.expansion import ExpansionError, expand
from paas.build.dockerfile.parser import Dockerfile, parse
from paas.build.graph import Graph
from paas.build.layering import Layering
from paas.build.options import BuildOptions
from paas.build.outside import Outside
from paas.build.plan import bases, find_stage
from paas.build.progress import Progress, StageLog
from paas.build.stagebuild import Built, Shared, StageBuild
from paas.build.steps.caches import CacheMounts
from paas.build.steps.mounts import StepMounts
from paas.build.steps.remote import Fetcher
from paas.build.steps.run import DiskGuard, Runner, StepLimits
from paas.errors import BuildFailed, InvalidInput, NotFound
from paas.image.lease import Lease
from paas.image.store import ImageStore
from paas.model import Image
from paas.names import shown
from paas.paths import Paths
from paas.runtime.cgroups import Limits
from paas.runtime.steps import Deadline, Steps
from paas.settings import Settings
from paas.source.entry import Tree
from paas.system.disk import refuse_when_full

_LIMIT = 1 << 20
_CPU_WEIGHT = 25
"""A build's share of the processors against 100 of every app: the machine stays responsive."""


class Builder:
    def __init__(
        self,
        settings: Settings,
        store: ImageStore,
        paths: Paths,
        steps: Steps,
        caches: CacheMounts,
        resolv_conf: str,
        bases: BaseImages | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._bases = bases or LocalImages(store)
        self._paths = paths
        self._steps = steps
        self._caches = caches
        self._resolv_conf = resolv_conf

    def build(
        self,
        tree: Tree,
        options: BuildOptions,
        progress: Progress,
        lease: Lease,
        cancelled: Callable[[], bool],
        noun: str = "the pushed tree",
    ) -> Image:
        """Build the target stage (by default the last) of the tree's Dockerfile. The image is kept while `lease` is
        held. Raises BuildFailed (with the line), Cancelled."""
        started = time.monotonic()
        refuse_when_full(self._paths.layers, "a build")
        context = Context(tree, options.dockerfile, noun)
        dockerfile = parse(_read_dockerfile(context, options), options.dockerfile)
        allowed = None if options.is_trusted else options.images
        checking.report(dockerfile, options, context, progress, lambda name: self._variables_of(name, allowed))
        layering = Layering(self._store, self._paths, lease, use_cache=options.use_cache, room=options.limits.disk)
        deadline = Deadline(options.limits.timeout)
        run = _Build(dockerfile, context, options, layering, self._store, self._bases)

        def stopped() -> bool:
            deadline.check()
            return cancelled()

        with ExitStack() as undo:
            outside = undo.enter_context(
                Outside(
                    self._steps.sandboxes,
                    self._paths.scratch,
                    self._resolv_conf,
                    options.proxies,
                    stopped,
                )
            )
            mounts = StepMounts(options, context, layering, self._caches)
            fetcher = Fetcher(self._store, outside, options.limits.disk, "" if options.is_plain else options.scope)
            disk = DiskGuard(self._paths.layers, options.limits.disk)
            limits = Limits(options.limits.memory, options.limits.cpus or None, options.limits.pids, weight=_CPU_WEIGHT)

            group = undo.enter_context(self._steps.build(limits))
            graph = Graph[Built](run.bases, cancelled)

            def build_stage(index: int) -> Built:
                log = run.logs[index]
                try:
                    with group.bench() as bench:
                        runner = Runner(
                            options,
                            layering,
                            mounts,
                            bench,
                            StepLimits(deadline, disk, graph.stopped),
                            self._resolv_conf,
                        )
                        return StageBuild(run.shared(index, fetcher, deadline, graph), runner).run()
                finally:
                    log.finish()

            run.announce(progress)
            try:
                graph.run(build_stage)
            finally:  # finished steps stay although a later one failed
                self._store.settle(layering.used)
            image = run.image(graph.results[run.target], lease)
        progress.total(image.id, time.monotonic() - started)
        return image

    def _variables_of(self, name: str, allowed: Collection[str] | None) -> Iterable[str] | None:
        try:
            return self._store.find(name, allowed).config.env
        except (NotFound, InvalidInput):
            return None


class _Build:
    """One run of the builder."""

    def __init__(
        self,
        dockerfile: Dockerfile,
        context: Context,
        options: BuildOptions,
        layering: Layering,
        store: ImageStore,
        images: BaseImages,
    ) -> None:
        self._dockerfile = dockerfile
        self._context = context
        self._options = options
        self._layering = layering
        self._store = store
        self._images = images
        self._globals = arguments.global_values(dockerfile, options.arguments)
        self.target = self._find_target()
        self.bases = bases(dockerfile, self.target, self._expand_quietly)
        self.logs: dict[int, StageLog] = {}
        sizes = {index: 1 + len(dockerfile.stages[index].instructions) for index in self.bases}
        self._total = sum(sizes.values())
        self._first = {}
        number = 0
        for index, size in sizes.items():
            self._first[index] = number
            number += size

    def announce(self, progress: Progress) -> None:
        for index in self.bases:
            self.logs[index] = progress.stage(self._dockerfile.stages[index].name or str(index))

    def shared(self, index: int, fetcher: Fetcher, deadline: Deadline, graph: Graph[Built]) -> Shared:
        return Shared(
            dockerfile=self._dockerfile,
            declared=self._dockerfile.stages[index],
            context=self._context,
            options=self._options,
            layering=self._layering,
            bases=self._images,
            fetcher=fetcher,
            log=self.logs[index],
            deadline=deadline,
            globals=self._globals,
            stages=self.bases,
            result=graph.result,
            first_step=self._first[index] + 1,
            total_steps=self._total,
            cancelled=graph.stopped,
        )

    def image(self, built: Built, lease: Lease) -> Image:
        """Record the image. Times come from the commit, else from when the youngest layer was made: the same again
        from the cache is the same image."""
        stage = built.stage
        created = self._created(built)
        history = [replace(entry, created=entry.created or created) for entry in stage.history]
        config = replace(stage.config, labels={**stage.config.labels, **self._options.labels})
        return self._store.add_image(config, built.layers, history, created, lease=lease)

    def _created(self, built: Built) -> str:
        epoch = self._options.arguments.get("SOURCE_DATE_EPOCH", "")
        if epoch.isascii() and epoch.isdigit():
            seconds = int(epoch)
        elif self._context.tree.root.oid:
            seconds = self._context.time
        else:
            return self._store.youngest(built.layers) or _rfc3339(0)
        return _rfc3339(seconds)

    def _find_target(self) -> int:
        name = self._options.target
        stages = self._dockerfile.stages
        if not name:
            return len(stages) - 1
        found = find_stage(self._dockerfile, name, len(stages))
        if found is None:
            known = [stage.name for stage in stages if stage.name]
            hint = f"Its stages: {', '.join(known)}" if known else "Its stages have no names; give a number from 0."
            raise BuildFailed(f"The Dockerfile has no stage {shown(name)}", hint=hint)
        return found

    def _expand_quietly(self, word: str) -> str:
        """For the plan; what is wrong is said when the stage begins."""
        try:
            return expand(word, self._globals, self._dockerfile.text.escape)
        except ExpansionError:
            return word


def _rfc3339(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        raise InvalidInput(f"SOURCE_DATE_EPOCH={seconds} is no time") from None


def _read_dockerfile(context: Context, options: BuildOptions) -> bytes:
    if options.text is not None:
        return options.text
    tree, name = context.tree, options.dockerfile
    entry = context.find(name, ignored=True)
    if entry is None:
        folder, base = os.path.split(name)
        directory = tree.entry(folder)
        siblings = tree.list(directory) if directory is not None and directory.kind == "dir" else []
        close = [child.name for child in siblings if child.name.lower() == base.lower()]
        if close:
            hint = f"There is {close[0]}; the name must be {base}."
        elif tree.root.oid:
            hint = f"Add one and commit it: git add {name}"
        else:
            hint = "-f names another file."
        where = " at its top" if not folder else ""
        raise BuildFailed(f"{context.noun.capitalize()} has no {name}{where}", hint=hint)
    if entry.kind != "file":
        what = {"dir": "a directory", "submodule": "a submodule"}.get(entry.kind, "something else")
        raise BuildFailed(f"{name} is {what}, not a file", hint="Replace it by the file itself.")
    try:
        return tree.read(entry, _LIMIT)
    except InvalidInput as error:
        raise BuildFailed(f"{name} cannot be read: {error.message}") from None
