"""Apps and containers, from the moment this engine has taken them over from the last one."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from paas.apps.claims import Claims
from paas.apps.disk_limits import DiskLimits
from paas.apps.ports import Ports
from paas.apps.processes import Processes
from paas.apps.storage import Storage
from paas.containers.parts import Parts
from paas.containers.ports import HostPorts
from paas.containers.supervise import Containers
from paas.containers.volumes import Volumes
from paas.deploy.applying import Applier
from paas.deploy.detached import Detached
from paas.deploy.disk_watch import DiskWatch
from paas.deploy.disk_writers import Writers
from paas.deploy.held import AppLocks
from paas.deploy.oneoff import OneOff
from paas.deploy.releases import ReleaseMaker
from paas.deploy.retention import Retention
from paas.deploy.routing import Routing
from paas.engine.foundation import Foundation
from paas.names import AppName
from paas.network.guard import Guard
from paas.network.listening import who_listens
from paas.schedulers.asking import Asker
from paas.schedulers.checks import Checks
from paas.schedulers.healthchecks import Healthchecks
from paas.schedulers.local import LocalScheduler
from paas.schedulers.pressure import Pressure
from paas.schedulers.retire import Retirement
from paas.schedulers.services import Services
from paas.schedulers.supervise import Supervisor
from paas.state.apps import App
from paas.system.disk import Reserve, left_on


@dataclass(frozen=True, slots=True)
class Running:
    """What sees to apps and containers, and what changes them one at a time."""

    checks: Checks
    services: Services
    scheduler: LocalScheduler
    ports: Ports
    processes: Processes
    storage: Storage
    claims: Claims
    maker: ReleaseMaker
    routing: Routing
    app_locks: AppLocks
    applier: Applier
    containers: Containers
    oneoff: OneOff
    detached: Detached
    disk_limits: DiskLimits


def take_over(base: Foundation, reserve: Reserve, undo: ExitStack) -> Running:
    """Adopt what lives, start what has ended meanwhile, and see to all of it from here on."""

    def host(name: AppName) -> str:
        """What an app is called under when it is checked."""
        app = base.apps.find(name)
        return next((h for h in (base.domains.of(app) if app else ()) if not h.startswith("*")), "localhost")

    asker = Asker(base.runtime)
    checks = Checks(base.runtime, base.settings.check_timeout, asker, lambda release: host(release.app))
    services = Services(base.settings, base.db, base.network, base.runtime)
    undo.callback(services.close)
    base.booter.changed = services.linked.publish
    health = Healthchecks(
        base.db, asker, services, lambda app: host(app.name), lambda id, reason: supervisor.fail(id, reason)
    )
    retirement = Retirement(base.settings, base.db, base.runtime, base.booter, services)
    undo.callback(retirement.close)
    scheduler = LocalScheduler(base.db, base.runtime, base.booter, checks, services, retirement, health.follow)
    base.images.on_replaced(scheduler.replace_later)
    ports = Ports(base.db, base.settings, who_listens)
    processes = Processes(base.db)
    storage = Storage(base.db, base.paths)
    claims = Claims(base.db, base.settings, base.domains, base.edge_settings)
    maker = ReleaseMaker(
        base.settings, base.db, base.environment, base.domains, ports, processes, storage, base.properties
    )
    routing = Routing(
        base.settings, base.db, base.domains, services, base.proxy, base.properties, base.edge_settings, base.certs
    )
    app_locks = AppLocks(base.db, base.locks)
    kept = Retention(base.db, base.properties)
    applier = Applier(base.db, base.apps, base.images, maker, scheduler, routing, app_locks, kept)

    def changed(app: App) -> None:
        routing.update_page(app)
        health.follow(app)

    supervisor = Supervisor(
        base.db,
        base.images,
        base.runtime,
        base.booter,
        checks,
        services,
        retirement,
        base.locks,
        changed,
        base.settings.boot_concurrency,
    )
    undo.callback(supervisor.close)
    undo.callback(health.close)
    containers = Containers(
        Parts(
            base.settings,
            base.db,
            base.images,
            base.runtime,
            base.sandboxes,
            base.network,
            HostPorts(base.db, base.settings, who_listens),
            Volumes(base.db, base.paths),
            base.resolv,
        )
    )
    undo.callback(containers.close)
    oneoff = OneOff(base.db, base.images, base.runtime, base.sandboxes, base.app_containers, services.linked)
    detached = Detached(base.db, oneoff, base.sandboxes, base.kept_logs)
    undo.callback(detached.close)
    base.runtime.on_exit(lambda id: containers.ended(id) if containers.owns(id) else supervisor.ended(id))
    lost = supervisor.adopt({**containers.present(), **detached.present()})
    containers.adopt()
    detached.adopt()
    services.restore(base.proxy.ports_in_force())
    guard = Guard(base.network)
    undo.callback(guard.close)
    guard.start()
    routing.start()
    routing.announce_start(lost)
    containers.boot()  # before the apps, which may have their data in them
    supervisor.boot(lost)
    limits = DiskLimits(base.settings, base.properties)
    writers = Writers(base.db, base.paths, base.runtime, limits, supervisor, oneoff, detached, containers)
    watch = DiskWatch(lambda: left_on(base.paths.data), base.runtime, writers, reserve.keep)
    undo.callback(watch.close)
    watch.start()
    pressure = Pressure(base.db, base.runtime)
    undo.callback(pressure.close)
    pressure.start()
    health.start()
    return Running(
        checks=checks,
        services=services,
        scheduler=scheduler,
        ports=ports,
        processes=processes,
        storage=storage,
        claims=claims,
        maker=maker,
        routing=routing,
        app_locks=app_locks,
        applier=applier,
        containers=containers,
        oneoff=oneoff,
        detached=detached,
        disk_limits=limits,
    )
