"""The Dockerfile of a commit that brings none: packs, what is set about them, and the image they build on."""

from __future__ import annotations

from dataclasses import replace

from paas.apps import buildpacks
from paas.apps.environment import Environment
from paas.apps.properties import Properties
from paas.build.options import BuildOptions
from paas.buildpacks import apart, asking, catalog, planning
from paas.buildpacks.pack import Pack
from paas.buildpacks.planning import Plan
from paas.deploy.held import Request
from paas.deploy.remotepacks import RemotePacks
from paas.deploy.repository import Said
from paas.image.bootstrap import bootstrap
from paas.image.store import ImageStore
from paas.model import WEB
from paas.output import Output
from paas.source.entry import Tree
from paas.state.apps import App
from paas.state.database import Database
from paas.system.locks import NamedLocks


class Packing:
    def __init__(
        self,
        db: Database,
        properties: Properties,
        environment: Environment,
        images: ImageStore,
        remote: RemotePacks,
    ) -> None:
        self._db = db
        self._properties = properties
        self._environment = environment
        self._images = images
        self._remote = remote
        self._making = NamedLocks()

    def wanted(self, app: App, tree: Tree, options: BuildOptions) -> bool:
        """Whether packs build it: it has no Dockerfile, and nothing says that it must."""
        selected = self._properties.value("builder", "selected", app)
        if selected:
            return bool(selected == "buildpacks")
        if options.dockerfile != "Dockerfile" or tree.entry("Dockerfile") is not None:
            return False
        return not any(entry.name.lower() == "dockerfile" for entry in tree.list(tree.root))

    def plan(self, app: App, tree: Tree, said: Said, request: Request | None = None) -> Plan:
        """How packs build a commit. With a `request` those of repositories are fetched that have not been yet.

        Raises BuildFailed, InvalidInput, NotFound, Conflict.
        """
        command = said.procfile.get(WEB)
        secrets = tuple(self._properties.value("buildpacks", "build-env", app))
        asked = asking.asked(tree, command[-1] if command else "", said.paasyml.apt, secrets)
        asked = replace(asked, base=self._properties.value("buildpacks", "stack", app))
        names = buildpacks.listed(self._db, app) or asking.listed(tree)
        chosen = [self._pack(app, tree, name, request) for name in names]
        more = [] if chosen else planning.own_packs(tree)
        if all(pack.trusted for pack in (*chosen, *more)):
            return planning.plan(tree, asked, chosen)
        return apart.plan(tree, asked, chosen, more)

    def packed(
        self, app: App, tree: Tree, said: Said, options: BuildOptions, request: Request
    ) -> tuple[Said, BuildOptions]:
        """What the commit says and how it is built, with the Dockerfile that packs make for it."""
        plan = self.plan(app, tree, said, request)
        report(plan, request.out)
        self._prepare(plan, request)
        if said.procfile and WEB not in said.procfile and plan.applied[-1].web:
            said = replace(said, procfile={WEB: None, **said.procfile})
        config = self._environment.merged(app)
        names = self._properties.value("buildpacks", "build-env", app)
        secrets = {name: config[name].encode() for name in names if name in config}
        return said, replace(options, text=plan.dockerfile.encode(), secrets={**secrets, **options.secrets})

    def _pack(self, app: App, tree: Tree, name: str, request: Request | None) -> Pack:
        if buildpacks.is_address(name):
            return self._remote.pack(app, name, request)
        if name.startswith(planning.FOLDER):
            return planning.own_pack(tree, name.rpartition("/")[2])
        return catalog.get(name)

    def _prepare(self, plan: Plan, request: Request) -> None:
        """Make the images that can be made here and are missing. Who needs none of those does not wait for others."""
        for name in plan.images:
            if name.startswith(("debian:", "ubuntu:")) and self._images.tagged(name) is None:
                with self._making.hold(
                    name,
                    f"the making of {name}",
                    waiting=lambda holder: request.out.detail(f"Waiting for {holder} to finish..."),
                    cancelled=request.cancelled,
                ):
                    if self._images.tagged(name) is None:
                        bootstrap(self._images, name, request.out, cancelled=request.cancelled)


def report(plan: Plan, out: Output) -> None:
    """Say which packs are taken, why, with which versions, and what else the app may want to know."""
    for each in plan.applied:
        out.heading(f"Buildpack {each.name} ({each.why})")
        for version in each.versions.values():
            out.detail(f"{version.title} {version.text} of {version.image}: {version.why}")
            if version.others:
                out.detail(f"It comes from a registry; without one there is {version.title} {version.others}")
        for text in each.says:
            out.detail(text)
        if each.web:
            out.detail(f"web: {each.web}")
        for kind, command in each.offers.items():
            out.detail(f"For your Procfile, if you want it: {kind}: {command}")
    for name, why in plan.passed_over.items():
        out.detail(f"The buildpack {name} fits as well ({why}); to take it: buildpacks:set APP {name}")
