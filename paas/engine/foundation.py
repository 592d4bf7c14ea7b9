"""What all else stands on: state, images, network, settings of apps, nginx."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass

from paas.apps import access, buildpacks, checking, container_settings, lifecycle, logs
from paas.apps.build_settings import declared
from paas.apps.certs import Certs
from paas.apps.domains import Domains
from paas.apps.edge import EdgeSettings
from paas.apps.environment import Environment
from paas.apps.lifecycle import Apps
from paas.apps.properties import Properties
from paas.deploy import cron, edge, pipeline, publishing, repository, retention
from paas.image.store import ImageStore
from paas.network.addresses import host_address
from paas.network.network import Network
from paas.network.resolv import resolv_conf
from paas.paths import Paths
from paas.proxy.proxy import Proxy
from paas.runtime.keptlogs import KeptLogs
from paas.runtime.runtime import Runtime
from paas.runtime.sandbox import SandboxPool
from paas.schedulers.boot import AppContainers, Booter
from paas.settings import Settings
from paas.state.apps import App
from paas.state.database import Database
from paas.system.locks import NamedLocks

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Foundation:
    """Made once, in this order; whatever is made of it later takes what it needs."""

    settings: Settings
    paths: Paths
    db: Database
    runtime: Runtime
    resolv: str
    locks: NamedLocks
    images: ImageStore
    network: Network
    sandboxes: SandboxPool
    properties: Properties
    kept_logs: KeptLogs
    app_containers: AppContainers
    booter: Booter
    apps: Apps
    environment: Environment
    proxy: Proxy
    edge_settings: EdgeSettings
    certs: Certs
    domains: Domains


def lay(settings: Settings, paths: Paths, db: Database, runtime: Runtime, undo: ExitStack) -> Foundation:
    """Find all of it as the last engine left it."""
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
    return Foundation(
        settings=settings,
        paths=paths,
        db=db,
        runtime=runtime,
        resolv=resolv,
        locks=locks,
        images=images,
        network=network,
        sandboxes=sandboxes,
        properties=properties,
        kept_logs=kept_logs,
        app_containers=app_containers,
        booter=booter,
        apps=apps,
        environment=environment,
        proxy=proxy,
        edge_settings=edge_settings,
        certs=certs,
        domains=domains,
    )
