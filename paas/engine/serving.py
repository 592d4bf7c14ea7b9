"""What commands work with, made of the parts below them."""

from __future__ import annotations

from contextlib import ExitStack

from paas.apps.access import Access
from paas.apps.build_settings import BuildSettings
from paas.apps.container_settings import ContainerOptions
from paas.apps.keys import Keys
from paas.apps.pages import Pages
from paas.build.builder import Builder
from paas.build.steps.caches import CacheMounts
from paas.commands.context import Platform
from paas.containers.files import Files
from paas.deploy import cron
from paas.deploy.builds import Builds
from paas.deploy.changes import Changes
from paas.deploy.cloning import Cloning
from paas.deploy.declaring import Declaring
from paas.deploy.edge import Edge
from paas.deploy.editing import Editor
from paas.deploy.hooks import Hooks
from paas.deploy.importing import DokkuImport
from paas.deploy.importing import Parts as ImportParts
from paas.deploy.packing import Packing
from paas.deploy.pipeline import Pipeline
from paas.deploy.publishing import Publisher
from paas.deploy.regaining import Regaining
from paas.deploy.remotepacks import RemotePacks
from paas.deploy.repositories import Repositories
from paas.deploy.rollbacks import Rollbacks
from paas.deploy.sources import Sources
from paas.deploy.tasks import Tasks
from paas.engine import orphans
from paas.engine.foundation import Foundation
from paas.engine.running import Running
from paas.integrity.check import Integrity
from paas.integrity.derived import Derived
from paas.integrity.stored_files import Files as StoredFiles
from paas.integrity.stored_images import Images
from paas.registry.archives import ImageFiles
from paas.registry.bases import RegistryImages
from paas.registry.registries import Registries
from paas.source.accounts import Accounts
from paas.source.workspace import Workspaces
from paas.state.backups import Backups


def platform(base: Foundation, running: Running, backups: Backups, undo: ExitStack) -> Platform:
    """Whatever builds, deploys and changes, in the hands of the commands."""
    caches = CacheMounts(base.paths.caches)
    caches.recover()
    steps = base.runtime.steps(base.sandboxes)
    steps.recover()
    build_settings = BuildSettings(base.db, base.properties, base.environment)
    registries = Registries(base.settings, base.paths, base.images)
    bases = RegistryImages(base.images, registries)
    builder = Builder(base.settings, base.images, base.paths, steps, caches, base.resolv, bases)
    builds = Builds(base.db, base.paths, base.images, builder, base.properties)
    builds.recover()
    orphans.clean(base.settings, base.paths, base.db)
    timer = cron.Cron(base.db, base.paths, base.properties, running.oneoff)
    undo.callback(timer.close)
    tasks = Tasks(base.images, base.paths, steps, base.app_containers, running.oneoff)
    hooks = Hooks(running.maker, Declaring(base.properties, running.storage, running.claims), base.environment, tasks)
    accounts = Accounts(base.paths.accounts, base.settings.user)
    workspaces = Workspaces(base.paths.scratch, base.sandboxes, base.resolv, accounts, base.settings.user)
    image_files = ImageFiles(base.images, base.paths.scratch, base.settings.image_limit)
    changes = Changes(
        base.db,
        base.apps,
        running.claims,
        base.environment,
        base.domains,
        running.ports,
        running.processes,
        running.storage,
        base.properties,
        running.maker,
        running.scheduler,
        running.routing,
        running.app_locks,
        running.applier,
        timer.forget,
    )
    remote_packs = RemotePacks(base.db, base.paths, base.apps, workspaces, base.settings.user)
    remote_packs.prune()
    repositories = Repositories(base.db, base.apps, base.settings.user)
    packing = Packing(
        base.db,
        base.properties,
        base.environment,
        base.images,
        bases,
        remote_packs,
    )
    pushes = Pipeline(
        base.db,
        base.apps,
        builds,
        build_settings,
        base.properties,
        running.maker,
        hooks,
        running.applier,
        running.routing,
        running.app_locks,
        Publisher(base.db, base.properties, registries),
        packing,
        base.settings.user,
    )
    keys = Keys(base.db)
    pages = Pages(base.db, base.paths)
    edges = Edge(
        base.db,
        base.apps,
        base.properties,
        base.edge_settings,
        base.domains,
        running.ports,
        running.claims,
        base.certs,
        pages,
        base.proxy,
        running.routing,
        running.applier,
    )
    container_options = ContainerOptions(base.settings, base.properties, running.storage)
    importing = ImportParts(
        base.paths,
        base.settings.user,
        base.apps,
        base.domains,
        running.ports,
        running.storage,
        keys,
        build_settings,
        container_options,
        changes,
        edges,
        pushes,
    )
    integrity = Integrity(
        base.db,
        Images(base.db, base.images, registries),
        StoredFiles(base.paths, base.apps, base.certs, base.settings.user),
        Derived(base.proxy, base.network),
    )
    return Platform(
        settings=base.settings,
        db=base.db,
        apps=base.apps,
        environment=base.environment,
        domains=base.domains,
        ports=running.ports,
        processes=running.processes,
        storage=running.storage,
        keys=keys,
        access=Access(base.db),
        images=base.images,
        registries=registries,
        image_files=image_files,
        changes=changes,
        edge=edges,
        rollbacks=Rollbacks(
            base.db,
            base.images,
            running.maker,
            running.applier,
            running.routing,
            Regaining(base.db, base.properties, running.claims, running.storage, container_options),
        ),
        cloning=Cloning(
            base.db,
            base.apps,
            running.claims,
            base.images,
            running.maker,
            running.scheduler,
            running.routing,
            running.app_locks,
            running.applier,
        ),
        packing=packing,
        remote_packs=remote_packs,
        repositories=repositories,
        pipeline=pushes,
        sources=Sources(
            base.settings,
            base.db,
            base.paths,
            base.apps,
            base.properties,
            build_settings,
            pushes,
            builds,
            running.app_locks,
            workspaces,
            repositories,
            base.images,
            bases,
            image_files,
        ),
        accounts=accounts,
        routing=running.routing,
        oneoff=running.oneoff,
        detached=running.detached,
        dokku_import=DokkuImport(importing),
        editor=Editor(base.paths, base.runtime, base.sandboxes),
        cron=timer,
        runtime=base.runtime,
        checks=running.checks,
        kept_logs=base.kept_logs,
        containers=running.containers,
        container_files=Files(running.containers.parts, running.containers.life, base.paths),
        proxy=base.proxy,
        properties=base.properties,
        build_settings=build_settings,
        linked=running.services.linked,
        container_options=container_options,
        disk_limits=running.disk_limits,
        builds=builds,
        caches=caches,
        paths=base.paths,
        integrity=integrity,
        backups=backups,
    )
