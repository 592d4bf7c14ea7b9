"""The Dockerfile of a commit that brings none: packs, what is set about them, and the image they build on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from paas.apps import buildpacks
from paas.apps.environment import Environment
from paas.apps.properties import Properties
from paas.build.bases import BaseImages
from paas.build.options import BuildOptions
from paas.buildpacks import apart, asking, catalog, planning
from paas.buildpacks.asking import Named
from paas.buildpacks.pack import Pack
from paas.buildpacks.planning import Plan, Version
from paas.buildpacks.render import Asked
from paas.deploy import repository
from paas.deploy.held import Request
from paas.deploy.remotepacks import RemotePacks
from paas.deploy.repository import Said
from paas.errors import BuildFailed, Cancelled, Conflict, DiskFull, InvalidInput, NotFound, PaasError
from paas.image.bootstrap import bootstrap
from paas.image.store import ImageStore
from paas.model import WEB
from paas.output import Output
from paas.source.entry import Enterable, Tree
from paas.state.apps import App
from paas.state.database import Database
from paas.system.locks import NamedLocks

ALWAYS = ("apt",)
"""Packs of Heroku's that need not be named here: what they do is done for every app."""


class Packing:
    def __init__(
        self,
        db: Database,
        properties: Properties,
        environment: Environment,
        images: ImageStore,
        bases: BaseImages,
        remote: RemotePacks,
    ) -> None:
        self._db = db
        self._properties = properties
        self._environment = environment
        self._images = images
        self._bases = bases
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
        return self._plan(app, tree, said, request)

    def plan_directory(self, tree: Enterable, out: Output) -> Plan:
        """How packs would build a directory if it were pushed as an app of which nothing is set."""
        return self._plan(None, tree, repository.read(tree, "app.json", "Procfile", out), None)

    def _plan(self, app: App | None, tree: Tree, said: Said, request: Request | None) -> Plan:
        value = self._properties.value
        asked = asked_by(tree, said, tuple(value("buildpacks", "build-env", app)), value("buildpacks", "stack", app))
        names = [Named(name) for name in buildpacks.listed(self._db, app)] if app is not None else []
        names = names or asking.listed(tree, said.buildpacks)
        chosen = [self._pack(app, tree, named, request) for named in names if named.name not in ALWAYS]
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

    def _pack(self, app: App | None, tree: Tree, named: Named, request: Request | None) -> Pack:
        name = named.name
        try:
            if buildpacks.is_address(name):
                return self._fetched(app, name, request)
            if name.startswith(planning.FOLDER):
                return planning.own_pack(tree, name.rpartition("/")[2])
            return catalog.current().get(name)
        except (NotFound, InvalidInput) as error:
            raise named.refuse(error) if named.place else error from None

    def _fetched(self, app: App | None, address: str, request: Request | None) -> Pack:
        if app is None:
            raise Conflict(
                f"The buildpack {address} is fetched when an app is pushed; for a directory it is not looked at",
                hint="Push it, then name the app: buildpacks:render APP",
            )
        return self._remote.pack(app, address, request)

    def _prepare(self, plan: Plan, request: Request) -> None:
        """Have the images that are missing: those that are made here, and those of versions that come from a registry.
        Who needs none of those that are made does not wait for others. Raises BuildFailed."""
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
        for version in (version for each in plan.applied for version in each.versions.values()):
            if not version.image.startswith(("debian:", "ubuntu:")):
                self._pull(version, request)

    def _pull(self, version: Version, request: Request) -> None:
        try:
            with self._images.lease() as lease:
                self._bases.find(
                    version.image,
                    lease=lease,
                    say=request.out.detail,
                    cancelled=request.cancelled,
                    refresh=False,
                    trusted=False,
                )
        except (Cancelled, DiskFull):
            raise
        except PaasError as error:
            here = f"Without a registry there is {version.title} {version.others}. " if version.others else ""
            raise BuildFailed(
                f"{version.title} {version.text} comes from a registry, as {version.image}, which cannot be had:"
                f" {error.message}",
                hint=f"{here}A mirror of docker.io is named by the setting registry_mirrors; an image that is loaded or"
                f" tagged under this name is taken as well.",
            ) from error


def asked_by(tree: Tree, said: Said, secrets: Sequence[str] = (), base: str = "") -> Asked:
    """What the tree asks of its build. Raises InvalidInput with file and line."""
    command = said.procfile.get(WEB)
    asked = asking.asked(tree, command[-1] if command else "", said.paasyml.apt, secrets)
    return replace(asked, base=base)


def report(plan: Plan, out: Output) -> None:
    """Say which packs are taken, why, with which versions, and what else the app may want to know."""
    for name, why in plan.left_out.items():
        out.warn(f"The buildpack {name} of this server is broken, and was left out: {why}")
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
