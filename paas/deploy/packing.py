"""The Dockerfile of a commit that brings none: packs, what is set about them, and the image they build on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from paas.apps import buildpacks
from paas.apps.environment import Environment
from paas.apps.properties import Properties
from paas.build.options import BuildOptions
from paas.buildpacks import asking, catalog, planning
from paas.buildpacks.pack import Pack
from paas.buildpacks.planning import Plan
from paas.deploy.repository import Said
from paas.image.bootstrap import bootstrap
from paas.image.store import ImageStore
from paas.model import WEB
from paas.output import Output
from paas.source.entry import Tree
from paas.state.apps import App
from paas.state.database import Database


class Packing:
    def __init__(self, db: Database, properties: Properties, environment: Environment, images: ImageStore) -> None:
        self._db = db
        self._properties = properties
        self._environment = environment
        self._images = images
        self._making = threading.Lock()

    def wanted(self, app: App, tree: Tree, options: BuildOptions) -> bool:
        """Whether packs build it: it has no Dockerfile, and nothing says that it must."""
        selected = self._properties.value("builder", "selected", app)
        if selected:
            return bool(selected == "buildpacks")
        if options.dockerfile != "Dockerfile" or tree.entry("Dockerfile") is not None:
            return False
        return not any(entry.name.lower() == "dockerfile" for entry in tree.list(tree.root))

    def plan(self, app: App, tree: Tree, said: Said) -> Plan:
        """Raises BuildFailed, InvalidInput, NotFound."""
        command = said.procfile.get(WEB)
        asked = asking.asked(tree, command[-1] if command else "")
        return planning.plan(tree, asked, self._chosen(app))

    def packed(
        self, app: App, tree: Tree, said: Said, options: BuildOptions, out: Output, cancelled: Callable[[], bool]
    ) -> tuple[Said, BuildOptions]:
        """What the commit says and how it is built, with the Dockerfile that packs make for it."""
        plan = self.plan(app, tree, said)
        report(plan, out)
        self._prepare(plan, out, cancelled)
        if said.procfile and WEB not in said.procfile and plan.applied[-1].web:
            said = replace(said, procfile={WEB: None, **said.procfile})
        return said, replace(options, text=plan.dockerfile.encode())

    def _chosen(self, app: App) -> Sequence[Pack]:
        return [catalog.get(name) for name in buildpacks.listed(self._db, app)]

    def _prepare(self, plan: Plan, out: Output, cancelled: Callable[[], bool]) -> None:
        """Make the images that can be made here and are missing."""
        with self._making:
            for name in plan.images:
                if name.startswith(("debian:", "ubuntu:")) and self._images.tagged(name) is None:
                    bootstrap(self._images, name, out, cancelled=cancelled)


def report(plan: Plan, out: Output) -> None:
    """Say which packs are taken, why, with which versions, and what else the app may want to know."""
    for each in plan.applied:
        out.heading(f"Buildpack {each.pack.name} ({each.why})")
        for chosen in each.versions.values():
            out.detail(f"{chosen.language.title} {chosen.offer.text} of {chosen.offer.image}: {chosen.why}")
        for text in each.says:
            out.detail(text)
        if each.web:
            out.detail(f"web: {each.web}")
        for kind, command in each.offers:
            out.detail(f"For your Procfile, if you want it: {kind}: {command}")
    for pack, why in plan.passed_over:
        out.detail(f"The buildpack {pack.name} fits as well ({why}); to take it: buildpacks:set APP {pack.name}")
