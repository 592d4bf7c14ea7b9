"""The composition root: the only place that knows all parts and picks implementations; and the engine's life."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import TracebackType

from paas.apps import access, buildpacks, checking, container_settings, lifecycle, logs
from paas.apps.access import Access
from paas.apps.build_settings import BuildSettings, declared
from paas.apps.certs import Certs
from paas.apps.claims import Claims
from paas.apps.container_settings import ContainerOptions
from paas.apps.domains import Domains
from paas.apps.edge import EdgeSettings
from paas.apps.environment import Environment
from paas.apps.keys import Keys
from paas.apps.lifecycle import Apps
from paas.apps.pages import Pages
from paas.apps.ports import Ports
from paas.apps.processes import Processes
from paas.apps.properties import Properties
from paas.apps.storage import Storage
from paas.build.builder import Builder
from paas.build.steps.caches import CacheMounts
from paas.commands.context import Platform
from paas.containers.files import Files
from paas.containers.parts import Parts
from paas.containers.ports import HostPorts
from paas.containers.supervise import Containers
from paas.containers.volumes import Volumes
from paas.deploy import cron, edge, pipeline, publishing, repository, retention
from paas.deploy.applying import Applier
from paas.deploy.builds import Builds
from paas.deploy.changes import Changes
from paas.deploy.cloning import Cloning
from paas.deploy.declaring import Declaring
from paas.deploy.detached import Detached
from paas.deploy.edge import Edge
from paas.deploy.editing import Editor
from paas.deploy.held import AppLocks
from paas.deploy.hooks import Hooks
from paas.deploy.importing import DokkuImport
from paas.deploy.importing import Parts as ImportParts
from paas.deploy.oneoff import OneOff
from paas.deploy.packing import Packing
from paas.deploy.pipeline import Pipeline
from paas.deploy.publishing import Publisher
from paas.deploy.releases import ReleaseMaker
from paas.deploy.remotepacks import RemotePacks
from paas.deploy.retention import Retention
from paas.deploy.rollbacks import Rollbacks
from paas.deploy.routing import Routing
from paas.deploy.sources import Sources
from paas.deploy.tasks import Tasks
from paas.engine import orphans
from paas.engine.frontdoor import FrontDoor
from paas.engine.lock import only_one
from paas.engine.server import Server
from paas.engine.sessions import Sessions
from paas.errors import DiskFull, SystemFailure
from paas.image.store import ImageStore
from paas.integrity.check import Integrity
from paas.integrity.derived import Derived
from paas.integrity.stored_files import Files as StoredFiles
from paas.integrity.stored_images import Images
from paas.integrity.upkeep import Upkeep
from paas.names import AppName
from paas.network.addresses import host_address
from paas.network.guard import Guard
from paas.network.listening import who_listens
from paas.network.network import Network
from paas.network.resolv import resolv_conf
from paas.paths import Paths
from paas.proxy.proxy import Proxy
from paas.registry.archives import ImageFiles
from paas.registry.bases import RegistryImages
from paas.registry.registries import Registries
from paas.runtime.keptlogs import KeptLogs
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import SandboxPool
from paas.schedulers.asking import Asker
from paas.schedulers.boot import AppContainers, Booter
from paas.schedulers.checks import Checks
from paas.schedulers.healthchecks import Healthchecks
from paas.schedulers.local import LocalScheduler
from paas.schedulers.pressure import Pressure
from paas.schedulers.retire import Retirement
from paas.schedulers.services import Services
from paas.schedulers.supervise import Supervisor
from paas.settings import Settings
from paas.source.accounts import Accounts
from paas.source.workspace import Workspaces
from paas.ssh.hostkeys import ensure_host_keys
from paas.state.apps import App
from paas.state.backups import Backups
from paas.state.database import Database
from paas.system.accounts import account
from paas.system.disk import Reserve, full_disk_is_told
from paas.system.files import ensure_directory, remove_tree
from paas.system.locks import NamedLocks

log = logging.getLogger(__name__)


class Engine:
    """A context manager: inside the block everything runs. Leaving it, apps and nginx go on serving."""

    def __init__(self, settings: Settings) -> None:
        if os.geteuid() != 0:
            raise SystemFailure("The engine has to run as root", hint="sudo paas serve")
        self._settings = settings
        self._paths = Paths(settings.data_dir, settings.run_dir)
        self._owner = account(settings.user)
        self._undo = ExitStack()
        self.is_alive: Callable[[], bool] = lambda: False
        """Whether it takes requests and gets at its state. It hangs where they do."""

    def __enter__(self) -> Engine:
        with ExitStack() as undo, self._room_is_told():
            self._start(undo)
            self._undo = undo.pop_all()
        log.info("serving: ssh port %d, http port %d", self._settings.ssh_port, self._settings.http_port)
        return self

    @contextmanager
    def _room_is_told(self) -> Iterator[None]:
        try:
            with full_disk_is_told():
                yield
        except DiskFull as error:  # no command can make room while no engine runs
            where = f"{self._paths.set_aside}, {self._paths.log} and {self._paths.backups}"
            hint = f"Make room by hand, then start it again: {where} have what can go first. What runs goes on."
            raise DiskFull(f"The engine cannot start. {error.message}", hint=hint) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()
        log.info("stopped; what runs goes on running")

    def _start(self, undo: ExitStack) -> None:
        settings, paths = self._settings, self._paths
        ensure_directory(paths.data, mode=0o711)
        ensure_directory(paths.run, mode=0o711)
        undo.callback(os.close, only_one(paths.run))
        os.umask(0o022)
        backups, reserve = Backups(paths.backups), Reserve(paths.reserve)
        db = Database(paths.database, backups, reserve)  # first: nothing is touched of data that is not for us
        undo.callback(db.close)
        reserve.keep()
        ensure_directory(paths.log, mode=0o750)
        ensure_host_keys(paths.ssh, self._owner)
        remove_tree(paths.run / "build")
        remove_tree(paths.run / "editing")
        remove_tree(paths.scratch)
        runtime = Runtime(settings, paths)
        runtime.prepare()
        for directory in (paths.repos, settings.socket.parent):  # what the front door is shown
            ensure_directory(directory, mode=0o750, owner=(0, self._owner[1]))
        door = FrontDoor(settings, paths)
        undo.callback(door.close)
        door.start()

        resolv = resolv_conf()
        locks = NamedLocks()
        images = ImageStore(db, paths)
        for layer in images.recover():
            log.error("layer %d is missing from %s", layer.number, paths.layers)

        network = Network(settings)
        network.setup()
        sandboxes = SandboxPool(settings, paths, network)
        undo.callback(sandboxes.close)

        properties = Properties(
            db,
            [
                *declared(settings),
                *container_settings.declared(settings),
                *pipeline.PROPERTIES,
                *publishing.PROPERTIES,
                *buildpacks.PROPERTIES,
                *access.PROPERTIES,
                *lifecycle.PROPERTIES,
                *logs.PROPERTIES,
                *checking.PROPERTIES,
                *cron.PROPERTIES,
                *repository.PROPERTIES,
                *retention.PROPERTIES,
                *edge.PROPERTIES,
            ],
        )
        kept_logs = KeptLogs(db, paths)
        kept_logs.recover()
        app_containers = AppContainers(settings, resolv, images.refuse_damaged)

        def log_limit(app: App) -> int:
            return int(properties.value("logs", "max-size", app))

        booter = Booter(db, runtime, sandboxes, app_containers, kept_logs, log_limit)
        apps = Apps(db, paths, settings.user)
        environment = Environment(db)
        proxy = Proxy(settings, paths, network.set_proxy)
        undo.callback(proxy.close)
        edge_settings = EdgeSettings(db, paths, proxy.default_maintenance)
        certs = Certs(db, paths)
        certs.recover()
        domains = Domains(db, settings, host_address(), edge_settings)

        def host(name: AppName) -> str:
            """What an app is called under when it is checked."""
            app = apps.find(name)
            return next((h for h in (domains.of(app) if app else ()) if not h.startswith("*")), "localhost")

        asker = Asker(runtime)
        checks = Checks(runtime, settings.check_timeout, asker, lambda release: host(release.app))
        services = Services(settings, db, network, runtime)
        booter.changed = services.linked.publish
        health = Healthchecks(
            db, asker, services, lambda app: host(app.name), lambda id, reason: supervisor.fail(id, reason)
        )
        retirement = Retirement(settings, db, runtime, booter)
        undo.callback(retirement.close)
        scheduler = LocalScheduler(db, runtime, booter, checks, services, retirement, health.follow)
        images.on_replaced(scheduler.replace_later)
        ports = Ports(db, settings, who_listens)
        processes = Processes(db)
        storage = Storage(db, paths)
        claims = Claims(db, settings, domains, edge_settings)
        maker = ReleaseMaker(settings, db, environment, domains, ports, processes, storage, properties)
        routing = Routing(settings, db, domains, services, proxy, properties, edge_settings, certs)
        app_locks = AppLocks(db, locks)
        kept = Retention(db, properties)
        applier = Applier(db, apps, images, maker, scheduler, routing, app_locks, kept)

        def changed(app: App) -> None:
            routing.update_page(app)
            health.follow(app)

        supervisor = Supervisor(
            db, images, runtime, booter, checks, services, retirement, locks, changed, settings.boot_concurrency
        )
        undo.callback(supervisor.close)
        undo.callback(health.close)
        containers = Containers(
            Parts(
                settings,
                db,
                images,
                runtime,
                sandboxes,
                network,
                HostPorts(db, settings, who_listens),
                Volumes(db, paths),
                resolv,
            )
        )
        undo.callback(containers.close)
        oneoff = OneOff(db, images, runtime, sandboxes, app_containers, services.linked)
        detached = Detached(db, oneoff, sandboxes, kept_logs)
        undo.callback(detached.close)
        runtime.on_exit(lambda id: containers.ended(id) if containers.owns(id) else supervisor.ended(id))
        lost = supervisor.adopt({**containers.present(), **detached.present()})
        containers.adopt()
        detached.adopt()
        network.restore(replace(services.wanted(), proxy=proxy.ports_in_force()))
        guard = Guard(network)
        undo.callback(guard.close)
        guard.start()
        services.linked.publish()
        routing.start()
        routing.announce_start(lost)
        containers.boot()  # before the apps, which may have their data in them
        supervisor.boot(lost)
        pressure = Pressure(db, runtime)
        undo.callback(pressure.close)
        pressure.start()
        health.start()

        caches = CacheMounts(paths.caches)
        caches.recover()
        steps = runtime.steps(sandboxes)
        steps.recover()
        build_settings = BuildSettings(db, properties, environment)
        registries = Registries(settings, paths, images)
        bases = RegistryImages(images, registries)
        builder = Builder(settings, images, paths, steps, caches, resolv, bases)
        builds = Builds(db, paths, images, builder, properties)
        builds.recover()
        orphans.clean(settings, paths, db)
        timer = cron.Cron(db, paths, properties, oneoff)
        undo.callback(timer.close)
        tasks = Tasks(images, paths, steps, app_containers, oneoff)
        hooks = Hooks(maker, Declaring(properties, storage, claims), environment, tasks)
        accounts = Accounts(paths.accounts, settings.user)
        workspaces = Workspaces(paths.scratch, sandboxes, resolv, accounts, settings.user)
        image_files = ImageFiles(images, paths.scratch, settings.image_limit)
        changes = Changes(
            db,
            apps,
            claims,
            environment,
            domains,
            ports,
            processes,
            storage,
            properties,
            maker,
            scheduler,
            routing,
            app_locks,
            applier,
            timer.forget,
        )
        packing = Packing(db, properties, environment, images, RemotePacks(db, paths, apps, workspaces, settings.user))
        pushes = Pipeline(
            db,
            apps,
            builds,
            build_settings,
            properties,
            maker,
            hooks,
            applier,
            routing,
            app_locks,
            Publisher(db, properties, registries),
            packing,
            settings.user,
        )
        keys = Keys(db)
        pages = Pages(db, paths)
        edges = Edge(db, apps, properties, edge_settings, domains, ports, claims, certs, pages, proxy, routing, applier)
        container_options = ContainerOptions(settings, properties, storage)
        importing = ImportParts(
            paths,
            settings.user,
            apps,
            domains,
            ports,
            storage,
            keys,
            build_settings,
            container_options,
            changes,
            edges,
            pushes,
        )
        integrity = Integrity(
            db,
            Images(db, images, registries),
            StoredFiles(paths, apps, certs, settings.user),
            Derived(proxy, network),
        )
        upkeep = Upkeep(db, backups, reserve, images)
        undo.callback(upkeep.close)
        platform = Platform(
            settings=settings,
            db=db,
            apps=apps,
            environment=environment,
            domains=domains,
            ports=ports,
            processes=processes,
            storage=storage,
            keys=keys,
            access=Access(db),
            images=images,
            registries=registries,
            image_files=image_files,
            changes=changes,
            edge=edges,
            rollbacks=Rollbacks(db, images, maker, applier, routing),
            cloning=Cloning(db, apps, claims, images, maker, scheduler, routing, app_locks, applier),
            packing=packing,
            pipeline=pushes,
            sources=Sources(
                settings,
                db,
                paths,
                apps,
                properties,
                build_settings,
                pushes,
                builds,
                app_locks,
                workspaces,
                images,
                bases,
                image_files,
            ),
            accounts=accounts,
            routing=routing,
            oneoff=oneoff,
            detached=detached,
            dokku_import=DokkuImport(importing),
            editor=Editor(paths, runtime, sandboxes),
            cron=timer,
            runtime=runtime,
            checks=checks,
            kept_logs=kept_logs,
            containers=containers,
            container_files=Files(containers.parts, containers.life, paths),
            proxy=proxy,
            properties=properties,
            build_settings=build_settings,
            linked=services.linked,
            container_options=container_options,
            builds=builds,
            caches=caches,
            paths=paths,
            integrity=integrity,
            backups=backups,
        )
        server = Server(settings.socket, self._owner[1], Sessions(platform, self._owner[0]).handle)
        server.listen()
        undo.callback(server.close)
        door.wait_ready()
        server.start()
        timer.start()
        upkeep.start()
        self.is_alive = lambda: server.accepts and db.one("SELECT 1") is not None
